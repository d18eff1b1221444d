;; G10: calls the host at the very end of its stack, where the host needs room of its own
;; limits: host_calls = 1000000, log_lines = 0
;; expect: 500 stack
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "log" (func $log (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (func $down (param i64 i64 i64 i64 i64 i64 i64 i64)
    (call $log (i32.const 0) (i64.const 64))
    (drop (call $get (i32.const 0) (i64.const 64) (i32.const 0) (i64.const 64)))
    (call $down (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
      (i64.const 5) (i64.const 6) (i64.const 7) (local.get 0)))
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $down (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)
      (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8))))
