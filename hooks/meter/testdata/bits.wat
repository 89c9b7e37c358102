;; Shifts by more than a width, counts of bits of zero, and rotations, folded and not.
(module
  (func (export "f") (param $x i32) (result i64) (local $y i64)
    (local.set $y (i64.or (i64.shl (i64.extend_i32_u (local.get $x)) (i64.const 32)) (i64.extend_i32_u (local.get $x))))
    (local.set $y (i64.add (local.get $y) (i64.shr_s (local.get $y) (i64.extend_i32_u (local.get $x)))))
    (local.set $y (i64.add (local.get $y) (i64.shr_u (local.get $y) (i64.const 64))))
    (local.set $y (i64.add (local.get $y) (i64.extend_i32_u (i32.add (i32.clz (i32.shr_u (local.get $x) (i32.const 31))) (i32.ctz (i32.shl (local.get $x) (i32.const 31)))))))
    (local.set $y (i64.sub (local.get $y) (i64.add (i64.ctz (i64.and (local.get $y) (i64.const 0))) (i64.clz (local.get $y)))))
    (local.set $y (i64.rotr (local.get $y) (i64.extend_i32_s (local.get $x))))
    (i64.add (local.get $y) (i64.extend_i32_u (i32.rotl (local.get $x) (i32.sub (i32.const 0) (local.get $x)))))))
