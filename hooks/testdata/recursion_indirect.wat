;; Recursion through the table, with a frame as large as there are.
;; expect: stack
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (type $void (func))
  (table 1 funcref)
  (elem (i32.const 0) $deeper)
  (func $deeper (local @200 i64) (call_indirect (type $void) (i32.const 0)))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (call $deeper)
    (i64.const 1)))
