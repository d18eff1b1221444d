;; G1: a component that waits for two things that are a minute away
;; limits: timeout = "60ms"
;; expect: 504 deadline
;; detail: waiting at the deadline
(func $hostile
  (i32.store (i32.const 600) (call $monotonic-clock.subscribe-duration (i64.const 60000000000)))
  (i32.store (i32.const 604) (call $monotonic-clock.subscribe-duration (i64.const 60000000000)))
  (call $poll.poll (i32.const 600) (i32.const 2) (i32.const 608)))
