;; G30: a backend that speaks no HTTP, without end
;; env: backend = "{flood}"
;; outbound: "http://127.0.0.1:*"
;; expect: 200 ok
;; answer: x
(func $hostile
  (call $must (i32.eqz (call $fetch)))
  (call $pollable.block (call $future-incoming-response.subscribe (i32.load (i32.const 200))))
  (call $future-incoming-response.get (i32.load (i32.const 200)) (i32.const 256))
  (call $must (i32.load8_u (i32.const 256))) (call $must (i32.load8_u (i32.const 272)))
  (call $x))
