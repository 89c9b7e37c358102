;; A call through the table of a function of another type.
;; expect: trap indirect call type mismatch
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (table 1 funcref)
  (elem (i32.const 0) $void)
  (func $void)
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (call_indirect (result i64) (i32.const 0))))
