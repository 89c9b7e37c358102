;; A query of half a memory.
;; expect: trap query: 262144 bytes, at most 16384 are allowed
(module
  (import "sluice" "find" (func $find (param i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 1024) "members{}")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (drop (call $find (i32.const 1024) (i32.const 7) (i32.const 0) (i32.const 262144) (i32.const 4096) (i32.const 100)))
    (i64.const 1)))
