;; Locals that live over many loops: compilers take the square of their product.
;; expect: refused their product may be at most 10000
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64) (local $x i64) (local @200 i64)
    (@repeat 100 (loop (br_if 0 (i32.const 0)) (local.set $x (i64.add (local.get $x) (i64.const 1)))))
    (local.get $x)))
