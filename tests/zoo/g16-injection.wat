;; G16: the request's body in a header's name, a header's value or the reason, as the query says;
;;     test_zoo.py tries every byte at every place
;; request: GET ?n x y
;; expect: 500 bad_response
;; detail: header name x y is not a token
;; request: GET ?n
;; expect: 500 bad_response
;; detail: is not a token
;; request: GET ?v a\r\nset-cookie: b
;; expect: 500 bad_response
;; detail: value of header x has a control character
;; request: GET ?v a\0b
;; expect: 500 bad_response
;; request: GET ?r OK\r\nset-cookie: b
;; expect: 500 bad_response
;; detail: reason OK\r\nset-cookie: b cannot stand in a status line
;; request: GET ?r OK\nHTTP/1.1 200 OK
;; expect: 500 bad_response
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))
  (import "env" "response_set_status_line" (func $status (param i32 i32 i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 64) "x")
  (func (export "handle") (local $size i64) (local $which i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $which (i32.load8_u (i32.const 0)))
    (local.set $size (call $text (i64.const 0) (i32.const 128) (i64.const 1024)))
    (if (i32.eq (local.get $which) (i32.const 110))
      (then (call $header (i32.const 128) (local.get $size) (i32.const 64) (i64.const 1))))
    (if (i32.eq (local.get $which) (i32.const 118))
      (then (call $header (i32.const 64) (i64.const 1) (i32.const 128) (local.get $size))))
    (if (i32.eq (local.get $which) (i32.const 114))
      (then (call $status (i32.const 200) (i32.const 128) (local.get $size))))
    (call $body (i32.const 64) (i64.const 1))))
