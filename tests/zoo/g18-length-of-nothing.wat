;; G18: says that its empty body has a length that no body has
;; request: GET
;; expect: 200 ok
;; answer:
;; headers: content-length, date, server
;; request: HEAD
;; expect: 200 ok
;; answer:
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "Content-Length-1")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $header (i32.const 8) (i64.const 14) (i32.const 22) (i64.const 2))
    (call $body (i32.const 0) (i64.const 0))))
