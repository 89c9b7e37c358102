;; A guest that behaves until its thousandth call: it counts in memory and in a global.
;; expect: yes
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (global $calls (mut i64) (i64.const 0))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
    (i32.store (i32.const 4096) (i32.add (i32.load (i32.const 4096)) (i32.const 1)))
    (if (i64.ge_u (global.get $calls) (i64.const 1000)) (then (unreachable)))
    (if (i32.ge_u (i32.load (i32.const 4096)) (i32.const 1000)) (then (return (i64.const 0))))
    (i64.const 1)))
