;; G14: a value into a buffer that is too small: what fits is written, not a byte more, and the length is told
;; env: eight = "12345678"
;; expect: 200 ok
;; answer: 123_____8
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "eight") (data (i32.const 16) "_________")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (i32.store8 (i32.const 24) (i32.add (i32.const 48) (i32.wrap_i64
      (call $get (i32.const 8) (i64.const 5) (i32.const 16) (i64.const 3)))))
    (call $body (i32.const 16) (i64.const 9))))
