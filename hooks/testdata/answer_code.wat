;; A reason in the server's own name, with a line end.
;; expect: contract must match
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 1024) "{\22code\22:\22rls.ok\5cn\22}")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 0x8000040000000013)))
