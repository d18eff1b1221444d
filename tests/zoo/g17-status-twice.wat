;; G17: a good status, then a bad one; then the other way around cannot be, as the guest is ended
;; expect: 500 bad_response
;; detail: status 42 is not between 200 and 599
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "response_set_status_line" (func $status (param i32 i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $status (i32.const 200) (i32.const 0) (i64.const 0))
    (call $status (i32.const 42) (i32.const 0) (i64.const 0))
    (call $status (i32.const 200) (i32.const 0) (i64.const 0))))
