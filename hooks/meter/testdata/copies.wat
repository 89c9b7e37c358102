;; Copies and fills that overlap, end at the memory's end, or are empty beyond it.
(module
  (memory (export "memory") 1)
  (func (export "f") (param $x i32) (result i64)
    (memory.fill (i32.const 0) (local.get $x) (i32.const 64))
    (i32.store (i32.const 7) (local.get $x))
    (memory.copy (i32.const 3) (i32.const 0) (i32.and (local.get $x) (i32.const 63)))
    (memory.copy (i32.const 0) (i32.const 5) (i32.const 40))
    (memory.fill (i32.const 65536) (i32.const 1) (i32.const 0))
    (if (i32.eq (i32.and (local.get $x) (i32.const 31)) (i32.const 31)) (then (memory.copy (i32.const 65530) (i32.const 0) (i32.const 7))))
    (i64.add (i64.load (i32.const 0)) (i64.mul (i64.load (i32.const 33)) (i64.const 3)))))
