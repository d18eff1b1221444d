;; G19: 40,000 headers
;; expect: 500 host_limit
;; detail: response_headers: more than 128
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "set-cookie")
  (func (export "handle") (local $left i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $left (i32.const 40000))
    (loop
      (call $header (i32.const 8) (i64.const 10) (i32.const 8) (i64.const 1))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))
