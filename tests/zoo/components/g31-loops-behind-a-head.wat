;; G1 G31: a body that is never ended
;; limits: timeout = "60ms"
;; expect: cut deadline
(func $hostile
  (drop (call $write (call $stream (call $begin)) (i32.const 516) (i32.const 1)))
  (loop (br 0)))
