;; A document that is none.
;; asked: beforeInsert
;; expect: contract document: is not a JSON object
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 1024) "[1]")
  (func (export "hook") (param $op i32) (param $len i32) (result i64) (i64.const 0x0000040000000003))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
