;; State that is kept in a table.
;; expect: refused uses table.set
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (table 1 funcref)
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (table.set (i32.const 0) (ref.null func))
    (i64.const 1)))
