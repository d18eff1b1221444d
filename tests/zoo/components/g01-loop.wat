;; G1: a component that never ends
;; limits: timeout = "60ms"
;; expect: 504 deadline
;; detail: busy at the deadline
(func $hostile
  (loop (br 0)))
