;; Blocks within blocks, 1,100 deep.
;; expect: refused nests blocks more than 1024 deep
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (@repeat 1100 block)
    (@repeat 1100 end)
    (i64.const 1)))
