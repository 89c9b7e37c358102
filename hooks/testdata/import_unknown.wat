;; A function that no host has.
;; expect: refused imports env.abort, which no guest may
(module
  (import "env" "abort" (func))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
