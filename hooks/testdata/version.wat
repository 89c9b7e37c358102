;; A version of the contract that does not exist.
;; expect: refused it speaks version 2 of the guest contract
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 2))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
