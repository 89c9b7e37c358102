;; A br_table of 10,000 labels.
;; expect: refused br_table of 10001 labels, at most 2048 are allowed
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64)
    (block $out (br_table (@repeat 10001 $out) (local.get $op)))
    (i64.const 1)))
