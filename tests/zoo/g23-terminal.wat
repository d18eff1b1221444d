;; G23: escapes of a terminal, a bell, separators of lines and paragraphs, an override of the direction, a NUL
;; expect: 200 ok
;; log: 1 record
;; logged: \x1b[2J\x1b]0;title\x07\x9b1m\u2028\u2029\u202e\u200f\ufeff\x00\x7f
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "log" (func $log (param i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\1b[2J\1b]0;title\07\c2\9b1m\e2\80\a8\e2\80\a9\e2\80\ae\e2\80\8f\ef\bb\bf\00\7f")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $log (i32.const 8) (i64.const 35))
    (call $body (i32.const 0) (i64.const 1))))
