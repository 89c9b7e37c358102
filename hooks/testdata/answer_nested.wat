;; A reason of brackets within brackets.
;; expect: contract
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (memory.fill (i32.const 1024) (i32.const 91) (i32.const 200000))
    (i64.const 0x8000040000030d40)))
