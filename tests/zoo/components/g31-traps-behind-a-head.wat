;; G31: a trap in the middle of a body, of which something was sent
;; expect: cut trap
(func $hostile
  (drop (call $write (call $stream (call $begin)) (i32.const 516) (i32.const 1)))
  (call $nap)
  unreachable)
