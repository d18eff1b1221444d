;; G18: a body that is shorter than its head says, before anything was sent and after
;; expect: 500 bad_response
;; request: GET ?nap
;; expect: cut bad_response
(func $hostile
  (call $sized (i32.const 0x39))
  (drop (call $write (global.get $stream) (i32.const 512) (i32.const 4)))
  (if (call $asked (i32.const 0x70616e3f)) (then (call $nap)))
  (call $end (global.get $sized) (global.get $stream))
  (call $must (i32.load8_u (i32.const 128))))
