;; G30: a backend that resets the connection
;; env: backend = "{resetting}"
;; outbound: "http://127.0.0.1:*"
;; expect: 200 ok
;; answer: x
(func $hostile
  (if (i32.eqz (call $fetch)) (then
    (call $pollable.block (call $future-incoming-response.subscribe (i32.load (i32.const 200))))
    (call $future-incoming-response.get (i32.load (i32.const 200)) (i32.const 256))
    (call $must (i32.load8_u (i32.const 272)))))
  (call $x))
