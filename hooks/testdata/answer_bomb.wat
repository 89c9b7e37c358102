;; The largest answer that there can be, as a reason.
;; expect: contract reason: has
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (data (i32.const 1024) "{\22code\22:\22a\22,\22message\22:\22")
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (memory.fill (i32.const 1047) (i32.const 120) (i32.const 262000))
    (i32.store16 (i32.const 263047) (i32.const 0x7d22))
    (i64.const 0x800004000003ff89)))
