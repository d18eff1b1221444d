;; G1: sets a whole response, then loops: what it set must not be sent
;; limits: timeout = "60ms"
;; expect: 504 deadline
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "canary-of-its-own")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $body (i32.const 8) (i64.const 17))
    (loop (br 0))))
