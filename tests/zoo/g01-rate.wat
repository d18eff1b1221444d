;; G1: more requests than the application takes
;; limits: rate = "1/h"
;; first: 200
;; expect: 429 rate_limited
;; good: none, for an hour
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle")
    (call $body (i32.const 0) (i64.const 0))))
