;; Blocks and functions of many results, and a call that passes more arguments than there are registers.
(module
  (func $many (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 f64 f64 f64 f64 f64 f64 f64 f64 f64 i32) (result i64 f64 i32 i64)
    (i64.sub (local.get 0) (local.get 9)) (f64.sub (local.get 18) (local.get 10)) (i32.rotl (local.get 19) (i32.const 3)) (i64.mul (local.get 4) (local.get 5)))
  (type $two (func (param i64) (result i64 i64)))
  (func (export "f") (param $x i32) (result i64) (local $y i64)
    (local.set $y (i64.extend_i32_s (local.get $x)))
    (call $many (local.get $y) (i64.const 1) (i64.const 2) (i64.const 3) (local.get $y) (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8) (i64.add (local.get $y) (i64.const 9))
      (f64.const 1) (f64.const 2) (f64.const 3) (f64.const 4) (f64.const 5) (f64.const 6) (f64.const 7) (f64.const 8) (f64.convert_i32_s (local.get $x)) (local.get $x))
    (block (type $two) (local.set $y) (local.get $y) (i64.clz (local.get $y)))
    i64.add
    (local.set $y)
    (local.set $x)
    i64.trunc_sat_f64_s
    i64.xor
    (i64.add (i64.extend_i32_u (local.get $x)))
    (i64.add (local.get $y))))
