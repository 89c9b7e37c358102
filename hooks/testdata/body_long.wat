;; One function of 100 KB.
;; expect: refused at most 65536
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (@repeat 50000 (drop (i32.const 1)))
    (i64.const 1)))
