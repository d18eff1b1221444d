;; G27: addresses that no wildcard grants: loopback and metadata in many spellings, and the service itself
;; env: service = "tcp://{service}"
;; outbound: "tcp://*:*"
;; expect: 200 ok
;; answer: none
;; refusals: 10
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "none") (data (i32.const 16) "service")
  (data (i32.const 1024) "127.0.0.1:80\00127.1:80\000:80\000.0.0.0:80\000x7f000001:80\00017700000001:80\00")
  (data (i32.const 1100) "0177.0.0.1:80\002130706433:80\00[::1]:80\00[::]:80\00[::ffff:127.0.0.1]:80\00")
  (data (i32.const 1170) "[::ffff:7f00:1]:80\00[::127.0.0.1]:80\00[64:ff9b::7f00:1]:80\00[2002:7f00:1::]:80\00")
  (data (i32.const 1250) "[fe80::1%25lo]:80\00[fd00:ec2::254]:80\00169.254.169.254:80\00169.254.170.2:80\00")
  (data (i32.const 1330) "100.100.100.200:80\00224.0.0.1:80\00255.255.255.255:80\00[ff02::1]:80\00192.0.0.9:80\00")
  (data (i32.const 1420) "127.0.0.1:0\00127.0.0.1:65536\00127.0.0.1:-1\00127.0.0.1:080\00user@127.0.0.1:80\00")
  (data (i32.const 1510) "/var/run/docker.sock\00/var/run/docker.sock:80\00:80\00:\00127.0.0.1\00")
  (func $size (param $at i32) (result i32) (local $end i32)
    (local.set $end (local.get $at))
    (loop
      (if (i32.load8_u (local.get $end))
        (then (local.set $end (i32.add (local.get $end) (i32.const 1))) (br 1))))
    (i32.sub (local.get $end) (local.get $at)))
  (func (export "handle") (local $at i32) (local $size i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $at (i32.const 1024))
    (loop
      (local.set $size (call $size (local.get $at)))
      (if (i32.ne (call $connect (local.get $at) (i64.extend_i32_u (local.get $size))) (i32.const -1))
        (then unreachable))
      (local.set $at (i32.add (i32.add (local.get $at) (local.get $size)) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $at) (i32.const 1600))))
    ;; "tcp://" is six bytes: what follows is where the service listens
    (if (i32.ne (i32.const -1) (call $connect (i32.const 70)
        (i64.sub (call $get (i32.const 16) (i64.const 7) (i32.const 64) (i64.const 64)) (i64.const 6))))
      (then unreachable))
    (call $body (i32.const 8) (i64.const 4))))
