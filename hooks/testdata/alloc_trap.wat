;; An alloc that traps.
;; expect: refused trapped in alloc
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (unreachable))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
