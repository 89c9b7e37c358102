;; Exports called in an order that is not the host's: the guest asks itself, and allocates anew at each event.
;; expect: yes
(module
  (func (export "init")
    (drop (call $alloc (i32.const 262144)))
    (drop (call $policy (i32.const 1) (i32.const 0))))
  (memory (export "memory") 32)
  (global $next (mut i32) (i32.const 65536))
  (func (export "abi_version") (result i32) (i32.const 1))
  (func $alloc (export "alloc") (param i32) (result i32)
    (global.get $next)
    (global.set $next (i32.add (global.get $next) (local.get 0))))
  (func $policy (export "policy") (param $op i32) (param $len i32) (result i64)
    (drop (call $alloc (i32.const 4096)))
    (if (result i64) (local.get $len)
      (then (call $policy (local.get $op) (i32.const 0)))
      (else (i64.const 1)))))
