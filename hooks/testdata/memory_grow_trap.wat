;; All of the memory that there is, written to, and then a trap.
;; expect: trap unreachable
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (drop (memory.grow (i32.const 248)))
    (memory.fill (i32.const 0) (i32.const 1) (i32.const 0xf00000))
    (unreachable)))
