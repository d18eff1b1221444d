;; G3: a component that waits for what is over
;; limits: host_calls = 1000
;; expect: 500 host_limit
(func $hostile
  (i32.store (i32.const 600) (call $monotonic-clock.subscribe-duration (i64.const 0)))
  (loop (call $poll.poll (i32.const 600) (i32.const 1) (i32.const 608)) (br 0)))
