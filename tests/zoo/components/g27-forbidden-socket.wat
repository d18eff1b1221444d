;; G27: metadata of the cloud that it may run in, over TCP, as itself and in a tunnel
;; outbound: "tcp://*:*"
;; expect: 200 ok
;; answer: x
;; refusals: 2
(func $hostile
  (call $tcp-create-socket.create-tcp-socket (i32.const 0) (i32.const 200))
  (call $tcp-socket.start-connect (i32.load (i32.const 204)) (call $instance-network.instance-network)
    (i32.const 0) (i32.const 80) (i32.const 169) (i32.const 254) (i32.const 169) (i32.const 254)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 208))
  (call $must (i32.load8_u (i32.const 208)))
  (call $tcp-create-socket.create-tcp-socket (i32.const 1) (i32.const 200))
  (call $tcp-socket.start-connect (i32.load (i32.const 204)) (call $instance-network.instance-network)
    (i32.const 1) (i32.const 80) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0xffff) (i32.const 0) (i32.const 0xa9fe) (i32.const 0xa9fe) (i32.const 0) (i32.const 208))
  (call $must (i32.load8_u (i32.const 208)))
  (call $x))
