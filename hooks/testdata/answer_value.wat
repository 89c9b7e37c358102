;; A value where there is none to give.
;; expect: contract has no value to give on insert
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 1024) "{}")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 0x0000040000000002)))
