;; G14 G13: has a backend's answer written across the end of its memory: nothing is
;; env: backend = "{drip}"
;; expect: 500 trap
;; detail: memory_bounds: 2 bytes at 65535
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "backend")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (drop (call $read
      (call $connect (i32.const 64) (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64)))
      (i32.const 65535) (i64.const 2)))))
