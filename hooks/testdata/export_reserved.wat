;; An export that takes the place of the host's counter.
;; expect: refused names that begin with "sluice:" are the host's
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (global (export "sluice:fuel") (mut i64) (i64.const 1000000000))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
