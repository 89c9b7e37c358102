;; A guest that sleeps for a century: it takes no time.
;; expect: yes
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.store (i32.const 1048) (i64.const 3155760000000000000))
    (i64.extend_i32_u (i32.eqz (call $poll (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 4096))))))
