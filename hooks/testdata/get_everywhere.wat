;; A room for the document that is all of the address space.
;; expect: trap room for 4294967295 bytes at 4096
(module
  (import "sluice" "get" (func $get (param i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 1024) "members{}")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (drop (call $get (i32.const 1024) (i32.const 7) (i32.const 1024) (i32.const 7) (i32.const 4096) (i32.const -1)))
    (i64.const 1)))
