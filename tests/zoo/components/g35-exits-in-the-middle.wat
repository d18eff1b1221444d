;; G35: a component that ends itself in the middle of its answer, before anything was sent and after
;; expect: 500 bad_response
;; request: GET ?nap
;; expect: cut bad_response
(func $hostile
  (drop (call $write (call $stream (call $begin)) (i32.const 516) (i32.const 1)))
  (if (call $asked (i32.const 0x70616e3f)) (then (call $nap)))
  (call $exit.exit (i32.const 0)))
