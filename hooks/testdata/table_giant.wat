;; A table of 2 to the power of 26 items, in a few bytes.
;; expect: refused has a table of 67108864 items, at most 16384 are allowed
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (table 67108864 funcref)
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
