;; A start function without an end.
;; expect: refused fails its self-test: hooks: module "guest": its start function: guest ran out of
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func $start (loop $again (br $again)))
  (start $start)
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
