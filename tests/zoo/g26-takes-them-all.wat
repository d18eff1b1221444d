;; G26: holds as many connections as it gets until the deadline; all its invocations together may hold four
;; env: backend = "{counted}"
;; limits: sockets = 8, application_sockets = 4, timeout = "60ms"
;; expect: 504 deadline
;; connections: 4
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "backend")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop
      (br_if 0 (i32.ne (i32.const -2)
        (call $connect (i32.const 64) (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64))))))
    (loop (br 0))))
