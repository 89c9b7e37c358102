;; A table that grows.
;; expect: refused uses table.grow
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (table 1 funcref)
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (drop (table.grow (ref.null func) (i32.const 1000000)))
    (i64.const 1)))
