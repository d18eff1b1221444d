;; G30: writes to a backend for ever, and is told no after a megabyte
;; env: backend = "{silent}"
;; limits: timeout = "10s", socket_sent = "1MiB"
;; expect: 200 ok
;; answer: 16
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_write" (func $write (param i32 i32 i64) (result i64)))
  (memory (export "memory") 2)
  (data (i32.const 8) "backend")
  (func (export "handle") (local $fd i32) (local $times i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $fd
      (call $connect (i32.const 64) (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64))))
    (loop
      (if (i64.eq (call $write (local.get $fd) (i32.const 1024) (i64.const 65536)) (i64.const 65536)) (then
        (local.set $times (i32.add (local.get $times) (i32.const 1)))
        (br 1))))
    (i32.store8 (i32.const 0) (i32.add (i32.const 48) (i32.div_u (local.get $times) (i32.const 10))))
    (i32.store8 (i32.const 1) (i32.add (i32.const 48) (i32.rem_u (local.get $times) (i32.const 10))))
    (call $body (i32.const 0) (i64.const 2))))
