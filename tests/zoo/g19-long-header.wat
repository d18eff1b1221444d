;; G19: a header of a megabyte: one byte over the limit, in its value or in its name, is over
;; request: GET ?v
;; expect: 500 host_limit
;; detail: response_header_bytes: more than 65536
;; request: GET ?n
;; expect: 500 host_limit
;; detail: response_header_bytes: more than 65536
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (memory (export "memory") 17)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (memory.fill (i32.const 64) (i32.const 120) (i32.const 1048576))
    (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 118))
      (then (call $header (i32.const 64) (i64.const 1) (i32.const 64) (i64.const 1048576)))
      (else (call $header (i32.const 64) (i64.const 65536) (i32.const 64) (i64.const 1))))))
