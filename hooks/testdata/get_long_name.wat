;; A name of 4 GiB.
;; expect: trap collection: 4294967295 bytes
(module
  (import "sluice" "get" (func $get (param i32 i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (drop (call $get (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (i64.const 1)))
