;; G1: a component that sleeps a millisecond, again and again
;; limits: timeout = "60ms"
;; expect: 504 deadline
(func $hostile (loop (call $nap) (br 0)))
