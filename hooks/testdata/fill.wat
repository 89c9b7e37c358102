;; All of the memory filled, again and again, in code without a loop or a call.
;; expect: fuel
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (@repeat 2000 (memory.fill (i32.const 0) (i32.const 1) (i32.const 524288)))
    (i64.const 1)))
