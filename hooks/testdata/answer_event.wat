;; The event itself as the new document: an answer within the host's own buffer is one like any other.
;; asked: beforeInsert
;; expect: yes
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "hook") (param $op i32) (param $len i32) (result i64)
    (i64.or (i64.const 0x0001000000000000) (i64.extend_i32_u (local.get $len))))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
