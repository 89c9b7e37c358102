;; A memory of 4 GiB.
;; expect: refused needs a memory of 65536 pages, at most 256 are allowed
(module
  (memory (export "memory") 65536)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
