;; G5: stores beyond the memory that it could get
;; limits: memory = "1MiB"
;; expect: 500 trap
;; detail: out of bounds memory access
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (drop (memory.grow (i32.const 1000)))
    (i32.store (i32.const 1048575) (i32.const -1))))
