;; Variables that change places in a loop: the moves at its head form cycles.
(module
  (func (export "f") (param $x i32) (result i64) (local $a i64) (local $b i64) (local $c i64) (local $t i64) (local $d f64) (local $e f64) (local $g f64) (local $n i32)
    (local.set $a (i64.extend_i32_s (local.get $x))) (local.set $b (i64.const 3)) (local.set $c (i64.const 5)) (local.set $n (i32.const 17))
    (loop $again
      (local.set $t (local.get $a)) (local.set $a (local.get $b)) (local.set $b (local.get $c)) (local.set $c (i64.sub (local.get $t) (local.get $a)))
      (local.set $g (local.get $d)) (local.set $d (local.get $e)) (local.set $e (f64.add (local.get $g) (f64.convert_i64_s (local.get $a))))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i64.add (i64.xor (local.get $a) (local.get $c)) (i64.trunc_sat_f64_s (f64.sub (local.get $d) (local.get $e))))))
