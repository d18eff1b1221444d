;; G3: what time is it?
;; limits: host_calls = 1000
;; expect: 500 host_limit
(func $hostile
  (loop (drop (call $monotonic-clock.now)) (br 0)))
