;; G21: bytes that are not UTF-8 to every function that takes text
;; expect: 200 ok
;; log: 1 record
;; logged: ����
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "log" (func $log (param i32 i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (import "env" "response_set_status_line" (func $status (param i32 i32 i64)))
  (import "env" "request_get_header" (func $ask (param i32 i64 i32 i64) (result i64)))
  (import "env" "request_get_param" (func $param (param i32 i64 i32 i64) (result i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\ff\fe\80\c0") (data (i32.const 16) "x")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $log (i32.const 8) (i64.const 4))
    (call $header (i32.const 16) (i64.const 1) (i32.const 8) (i64.const 4))
    (call $status (i32.const 200) (i32.const 8) (i64.const 4))
    (call $body (i32.const 8) (i64.const 4))
    (if (i64.ne (i64.const -1) (call $ask (i32.const 8) (i64.const 4) (i32.const 64) (i64.const 9))) (then unreachable))
    (if (i64.ne (i64.const -1) (call $param (i32.const 8) (i64.const 4) (i32.const 64) (i64.const 9))) (then unreachable))
    (if (i64.ne (i64.const -1) (call $get (i32.const 8) (i64.const 4) (i32.const 64) (i64.const 9))) (then unreachable))
    (if (i32.ne (i32.const -1) (call $connect (i32.const 8) (i64.const 4))) (then unreachable))))
