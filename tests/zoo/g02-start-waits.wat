;; G2 G30: start waits for a backend that never answers
;; limits: timeout = "60ms"
;; env: backend = "{silent}"
;; expect: 504 deadline
;; detail: waiting at the deadline
;; good: none, start comes before every request
(module
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "backend")
  (func $start
    (drop (call $read
      (call $connect (i32.const 8) (call $get (i32.const 0) (i64.const 7) (i32.const 8) (i64.const 64)))
      (i32.const 0) (i64.const 1))))
  (start $start)
  (func (export "handle")))
