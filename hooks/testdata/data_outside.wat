;; Data outside of the memory.
;; expect: refused has data segment 0, which is outside of its memory
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 524287) "xy")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (i64.const 1)))
