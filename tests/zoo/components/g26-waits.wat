;; G26: a backend that never answers
;; env: backend = "{silent}"
;; outbound: "http://127.0.0.1:*"
;; limits: timeout = "60ms"
;; expect: 504 deadline
;; detail: waiting at the deadline
(func $hostile
  (call $must (i32.eqz (call $fetch)))
  (call $pollable.block (call $future-incoming-response.subscribe (i32.load (i32.const 200)))))
