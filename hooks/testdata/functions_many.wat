;; More functions than a compiler takes in a second.
;; expect: refused has 10003 functions, at most 10000 are allowed
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (@repeat 10000 (func))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
