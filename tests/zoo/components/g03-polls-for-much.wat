;; G3: ten thousand times the same pollable, again and again
;; limits: timeout = "300ms"
;; expect: 500 host_limit
(func $hostile (local $at i32) (local $nap i32)
  (local.set $nap (call $monotonic-clock.subscribe-duration (i64.const 60000000000)))
  (loop
    (i32.store (i32.add (i32.const 1024) (local.get $at)) (local.get $nap))
    (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4))) (i32.const 44000))))
  (call $poll.poll (i32.const 1024) (i32.const 11000) (i32.const 608)))
