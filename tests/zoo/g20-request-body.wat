;; G20: asks for a body that is larger than the application takes
;; limits: request_body = 16
;; request: POST 0123456789abcdefg
;; expect: 413 body_too_large
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $body (i32.const 0) (call $text (i64.const 0) (i32.const 0) (i64.const 1024)))))
