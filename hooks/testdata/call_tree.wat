;; 2 to the power of 60 calls, without a loop.
;; expect: fuel
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func $tree (param $depth i32)
    (if (local.get $depth) (then
      (call $tree (i32.sub (local.get $depth) (i32.const 1)))
      (call $tree (i32.sub (local.get $depth) (i32.const 1))))))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (call $tree (i32.const 60))
    (i64.const 1)))
