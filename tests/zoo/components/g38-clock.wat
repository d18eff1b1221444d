;; G38: clocks that show whole milliseconds
;; expect: 200 ok
;; answer: x
(func $hostile
  (if (i64.ne (i64.const 0) (i64.rem_u (call $monotonic-clock.now) (i64.const 1000000)))
    (then unreachable))
  (call $wall-clock.now (i32.const 600))
  (if (i32.rem_u (i32.load (i32.const 608)) (i32.const 1000000)) (then unreachable))
  (call $x))
