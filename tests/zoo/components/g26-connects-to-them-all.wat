;; G26: connections without end over TCP, to a backend that counts
;; env: port = "{counted}"
;; outbound: "tcp://127.0.0.1:*"
;; limits: sockets = 8
;; expect: 200 ok
;; answer: x
;; connections: 64
(data (i32.const 1100) "port")
(func $port (result i32) (local $at i32) (local $end i32) (local $port i32)
  (call $runtime.get (i32.const 1100) (i32.const 4) (i32.const 80))
  (local.set $end (i32.add (i32.load (i32.const 88)) (i32.load (i32.const 92))))
  (local.set $at (i32.add (i32.load (i32.const 88)) (i32.const 10)))
  (loop
    (local.set $port (i32.add (i32.mul (local.get $port) (i32.const 10))
      (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
    (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (local.get $end))))
  (local.get $port))
(func $hostile (local $left i32) (local $port i32)
  (local.set $port (call $port))
  (local.set $left (i32.const 100))
  (loop
    (call $tcp-create-socket.create-tcp-socket (i32.const 0) (i32.const 200))
    (call $tcp-socket.start-connect (i32.load (i32.const 204)) (call $instance-network.instance-network)
      (i32.const 0) (local.get $port) (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1)
      (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 208))
    (call $must (i32.eq (i32.load8_u (i32.const 208)) (i32.lt_s (local.get $left) (i32.const 93))))
    (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (call $x))
