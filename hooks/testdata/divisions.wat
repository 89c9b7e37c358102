;; Divisions, the slowest of plain instructions.
;; expect: fuel
(module
  (memory (export "memory") 8)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "policy") (param $op i32) (param $len i32) (result i64) (local $x i64)
    (loop $again
      (local.set $x (i64.div_u (i64.const -1) (i64.add (local.get $x) (i64.const 3))))
      (br $again))
    (unreachable)))
