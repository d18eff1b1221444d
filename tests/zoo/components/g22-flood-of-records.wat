;; G22: twenty thousand records of one byte
;; expect: 200 ok
;; answer: x
;; log: 100 records, 19900 dropped
;; logged: CRITICAL: x
(func $hostile (local $left i32)
  (local.set $left (i32.const 20000))
  (loop
    (call $logging.log (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 516) (i32.const 1))
    (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (call $x))
