;; The costliest shape that the caps let through.
;; expect: yes
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64) (local $x i64) (local @199 i64)
    (@repeat 49 (loop (br_if 0 (i32.const 0)) (local.set $x (i64.add (local.get $x) (i64.const 1)))))
    (i64.const 1)))
