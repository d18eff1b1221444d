;; G31: a trap in the middle of a body, of which nothing was sent
;; expect: 500 trap
(func $hostile
  (drop (call $write (call $stream (call $begin)) (i32.const 516) (i32.const 1)))
  unreachable)
