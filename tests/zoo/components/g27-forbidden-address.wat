;; G27: metadata of the cloud that it may run in
;; env: backend = "169.254.169.254:80"
;; outbound: "http://*:*"
;; expect: 200 ok
;; answer: x
;; refusals: 1
(func $hostile
  (if (i32.eqz (call $fetch)) (then
    (call $pollable.block (call $future-incoming-response.subscribe (i32.load (i32.const 200))))))
  (call $x))
