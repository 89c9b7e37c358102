;; Calls through a table of functions of several types, of which some do not fit.
(module
  (type $a (func (param i32) (result i64)))
  (type $b (func (param i64) (result i64)))
  (table 4 funcref)
  (elem (i32.const 0) $one $two $three)
  (func $one (type $a) (i64.extend_i32_u (local.get 0)))
  (func $two (type $a) (i64.mul (i64.extend_i32_s (local.get 0)) (i64.const 3)))
  (func $three (type $b) (i64.popcnt (local.get 0)))
  (func (export "f") (param $x i32) (result i64)
    (i64.add
      (call_indirect (type $a) (local.get $x) (i32.and (local.get $x) (i32.const 3)))
      (call_indirect (type $b) (i64.const 255) (i32.const 2)))))
