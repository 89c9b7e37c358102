;; All of the memory printed, 1,024 times in one call.
;; expect: fuel
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64) (local $at i32)
    (loop $fill
      (i32.store (i32.add (i32.const 1024) (local.get $at)) (i32.const 0))
      (i32.store (i32.add (i32.const 1028) (local.get $at)) (i32.const 524288))
      (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 8192))))
    (drop (call $write (i32.const 1) (i32.const 1024) (i32.const 1024) (i32.const 16384)))
    (i64.const 1)))
