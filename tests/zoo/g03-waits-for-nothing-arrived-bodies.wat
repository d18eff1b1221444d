;; G3: calls what may wait, request_get_body, where it never does: each is answered at once, and the deadline holds
;; limits: host_calls = 5000, timeout = "10ms"
;; expect: 504 deadline
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "request_get_body" (func $f (param i64 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "192.0.2.1:80")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop (drop (call $f (i64.const 0) (i32.const 8) (i64.const 12))) (br 0))))
