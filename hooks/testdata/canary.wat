;; A guest that looks for what another event left, in all of its memory, and leaves its own.
;; expect: yes
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64) (local $at i32)
    ;; Behind this event's end the buffer must be empty: an earlier, longer event is gone.
    (local.set $at (i32.add (i32.const 65536) (local.get $len)))
    (loop $next
      (if (i32.load8_u (local.get $at)) (then (return (i64.const 0))))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 524288))))
    (memory.copy (i32.const 300000) (i32.const 65536) (local.get $len))
    (i64.const 1)))
