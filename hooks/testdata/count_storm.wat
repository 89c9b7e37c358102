;; Queries without an end.
;; expect: reads at most 64 are allowed
(module
  (import "sluice" "count" (func $count (param i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 1024) "members{}")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (loop $again
      (drop (call $count (i32.const 1024) (i32.const 7) (i32.const 1031) (i32.const 2)))
      (br $again))
    (unreachable)))
