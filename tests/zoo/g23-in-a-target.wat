;; G23 G27: a line feed and a record in the name of a host
;; expect: 200 ok
;; refusals: 1
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "\0a{\22event\22:\22x\22}\1b[2J:80")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (drop (call $connect (i32.const 8) (i64.const 21)))
    (call $body (i32.const 0) (i64.const 1))))
