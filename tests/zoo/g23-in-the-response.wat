;; G23 G16: a line feed and a record where the log quotes the guest: a header's name that is refused
;; expect: 500 bad_response
;; detail: header name \n{"event":"x"}\x1b[2J is not a token
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\0a{\22event\22:\22x\22}\1b[2J")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $header (i32.const 8) (i64.const 18) (i32.const 0) (i64.const 1))))
