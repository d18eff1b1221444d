;; G10 G30: waits for a backend at the very end of its stack
;; limits: host_calls = 1000000, timeout = "10s"
;; env: backend = "{refusing}"
;; expect: 500 stack
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "backend")
  (func $down (param $deep i32) (param i64 i64 i64 i64 i64 i64 i64)
    (if (i32.eqz (i32.rem_u (local.get $deep) (i32.const 64))) (then
      (drop (call $connect (i32.const 64)
        (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64))))))
    (call $down (i32.add (local.get $deep) (i32.const 1)) (i64.const 2) (i64.const 3) (i64.const 4)
      (i64.const 5) (i64.const 6) (i64.const 7) (local.get 1)))
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $down (i32.const 0) (i64.const 2) (i64.const 3) (i64.const 4)
      (i64.const 5) (i64.const 6) (i64.const 7) (i64.const 8))))
