;; A reason that is no UTF-8.
;; expect: contract is not JSON
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 1024) "{\22code\22:\22a\22,\22message\22:\22\ff\fe\22}")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 0x800004000000001a)))
