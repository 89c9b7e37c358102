;; A function to ask that takes nothing.
;; expect: refused exports policy as () -> (i64), the guest contract has
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (result i64) (i64.const 1)))
