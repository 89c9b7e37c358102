;; Loads that miss every cache and wait for each other: much time for little fuel.
;; expect: timeout
(module
  (memory (export "memory") 256)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64) (local $at i32)
    ;; A walk over memory in which each address depends on what the last one holds, and all are far apart.
    (loop $fill
      (i32.store (local.get $at) (i32.and (i32.add (i32.mul (local.get $at) (i32.const 1664525)) (i32.const 1013904224)) (i32.const 0xfffffc)))
      (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (i32.const 0x1000000))))
    (local.set $at (i32.const 0))
    (loop $again
      (local.set $at (i32.and (i32.add (i32.load (local.get $at)) (i32.const 0x10fc4)) (i32.const 0xfff000)))
      (br $again))
    (unreachable)))
