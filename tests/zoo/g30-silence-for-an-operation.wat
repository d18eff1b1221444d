;; G30: the same; an operation has a deadline of its own, and the guest goes on without an answer
;; env: backend = "{silent}"
;; limits: timeout = "10s", socket_timeout = "40ms"
;; expect: 200 ok
;; answer: -
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "backend-")
  (func (export "handle") (local $fd i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $fd
      (call $connect (i32.const 64) (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64))))
    (if (i64.ne (i64.const -1) (call $read (local.get $fd) (i32.const 0) (i64.const 1))) (then unreachable))
    (call $body (i32.const 15) (i64.const 1))))
