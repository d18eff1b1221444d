;; G20: a body that is dropped is not finished, before anything was sent and after
;; expect: 500 bad_response
;; detail: not finished
;; request: GET ?nap
;; expect: cut bad_response
;; detail: not finished
(func $hostile (local $body i32) (local $stream i32)
  (local.set $stream (call $stream (local.tee $body (call $begin))))
  (drop (call $write (local.get $stream) (i32.const 516) (i32.const 1)))
  (if (call $asked (i32.const 0x70616e3f)) (then (call $nap)))
  (call $drop.output-stream (local.get $stream))
  (call $drop.outgoing-body (local.get $body)))
