;; G26: requests without end, to a backend that counts
;; env: backend = "{counted}"
;; outbound: "http://127.0.0.1:*"
;; limits: sockets = 8
;; expect: 200 ok
;; answer: x
;; connections: 64
(func $hostile (local $left i32)
  (local.set $left (i32.const 100))
  (loop (drop (call $fetch)) (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (call $x))
