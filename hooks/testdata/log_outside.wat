;; A line outside of the memory.
;; expect: trap log: 100 bytes at 4294967295 are outside
(module
  (import "sluice" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (call $log (i32.const 1) (i32.const -1) (i32.const 100))
    (i64.const 1)))
