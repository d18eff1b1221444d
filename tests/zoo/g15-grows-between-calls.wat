;; G15: its memory moves and grows between two host calls; both see it as it is
;; env: eight = "12345678"
;; limits: memory = "16MiB"
;; expect: 200 ok
;; answer: 12345678
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "eight")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (drop (call $get (i32.const 8) (i64.const 5) (i32.const 64) (i64.const 8)))
    (drop (memory.grow (i32.const 255)))
    (drop (call $get (i32.const 8) (i64.const 5) (i32.const 16777208) (i64.const 8)))
    (call $body (i32.const 16777208) (i64.const 8))))
