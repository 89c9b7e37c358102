;; Division and remainder by constants, by variables and by those that trap.
(module
  (func (export "f") (param $x i32) (result i64) (local $y i64)
    (local.set $y (i64.add (i64.extend_i32_s (i32.div_s (local.get $x) (i32.const -7))) (i64.extend_i32_u (i32.div_u (local.get $x) (i32.const 60)))))
    (local.set $y (i64.add (i64.mul (local.get $y) (i64.const 31)) (i64.extend_i32_s (i32.rem_s (local.get $x) (i32.const -1)))))
    (local.set $y (i64.add (i64.mul (local.get $y) (i64.const 31)) (i64.rem_s (i64.const -9223372036854775808) (i64.extend_i32_s (i32.or (local.get $x) (i32.const 1))))))
    (if (i32.eq (i32.and (local.get $x) (i32.const 15)) (i32.const 15)) (then
      (local.set $y (i64.div_s (i64.const -9223372036854775808) (i64.extend_i32_s (local.get $x))))))
    (i64.add (local.get $y) (i64.extend_i32_u (i32.rem_u (i32.const 1000000) (i32.and (local.get $x) (i32.const 7)))))))
