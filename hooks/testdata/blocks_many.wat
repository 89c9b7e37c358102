;; One function of 3,000 branches.
;; expect: refused more than 2048 blocks
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (@repeat 3000 (if (local.get $op) (then (nop))))
    (i64.const 1)))
