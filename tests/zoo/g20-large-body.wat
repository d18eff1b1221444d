;; G20: a body one byte over the limit
;; limits: response_body = "1MiB"
;; expect: 500 host_limit
;; detail: response_body: 1048577 bytes, limit 1048576
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 17)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $body (i32.const 0) (i64.const 1048577))))
