;; G1: a component that sleeps for a minute
;; limits: timeout = "60ms"
;; expect: 504 deadline
;; detail: waiting at the deadline
(func $hostile
  (call $pollable.block (call $monotonic-clock.subscribe-duration (i64.const 60000000000))))
