;; G26: a port of the machine, to listen at, over TCP and UDP
;; expect: 200 ok
;; answer: x
(func $hostile
  (call $tcp-create-socket.create-tcp-socket (i32.const 0) (i32.const 200))
  (call $tcp-socket.start-bind (i32.load (i32.const 204)) (call $instance-network.instance-network)
    (i32.const 0) (i32.const 9999) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 208))
  (call $must (i32.load8_u (i32.const 208)))
  (call $tcp-socket.start-listen (i32.load (i32.const 204)) (i32.const 208))
  (call $must (i32.load8_u (i32.const 208)))
  (call $udp-create-socket.create-udp-socket (i32.const 0) (i32.const 200))
  (call $udp-socket.start-bind (i32.load (i32.const 204)) (call $instance-network.instance-network)
    (i32.const 0) (i32.const 9999) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 208))
  (call $must (i32.load8_u (i32.const 208)))
  (call $x))
