;; G7: fills all of its memory, for ever
;; limits: memory = "64MiB", timeout = "60ms"
;; expect: 504 deadline
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1024)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop (memory.fill (i32.const 0) (i32.const 170) (i32.const 67108864)) (br 0))))
