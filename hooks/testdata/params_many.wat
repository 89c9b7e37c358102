;; A function type of 129 parameters.
;; expect: refused parameters
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (type (func (param (@repeat 129 i32))))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
