;; Texts outside of the memory, and a list of them that is, too: an error number, and no more.
;; expect: yes
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i32.store (i32.const 1024) (i32.const -8))
    (i32.store (i32.const 1028) (i32.const 16))
    (i64.extend_i32_u (i32.and
      (i32.eq (call $write (i32.const 1) (i32.const 1024) (i32.const 1) (i32.const 16384)) (i32.const 21))
      (i32.eq (call $write (i32.const 1) (i32.const -4) (i32.const 2) (i32.const 16384)) (i32.const 21))))))
