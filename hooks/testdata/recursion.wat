;; A function that calls itself without an end.
;; expect: stack
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func $deeper (call $deeper))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (call $deeper)
    (i64.const 1)))
