;; G7: copies half of its memory over the other half, for ever
;; limits: memory = "32MiB", timeout = "60ms"
;; expect: 504 deadline
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 512)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop
      (memory.copy (i32.const 16777216) (i32.const 0) (i32.const 16777216))
      (memory.copy (i32.const 1) (i32.const 0) (i32.const 33554431))
      (br 0))))
