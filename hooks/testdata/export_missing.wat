;; No function to ask.
;; expect: refused exports no function policy(i32, i32) -> (i64)
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
)
