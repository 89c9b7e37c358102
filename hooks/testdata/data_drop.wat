;; State that is kept in whether a segment is there.
;; expect: refused uses data.drop
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data $once "x")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (data.drop $once)
    (i64.const 1)))
