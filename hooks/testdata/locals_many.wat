;; 50,000 locals in three bytes.
;; expect: refused has 50002 locals, at most 256 are allowed
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64) (local @50000 i64)
    (i64.const 1)))
