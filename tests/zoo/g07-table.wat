;; G7: copies its table within itself, for ever
;; limits: timeout = "60ms"
;; expect: 504 deadline
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (table 100000 funcref)
  (elem declare func $f) (func $f)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop
      (table.fill (i32.const 0) (ref.func $f) (i32.const 100000))
      (table.copy (i32.const 1) (i32.const 0) (i32.const 99999))
      (br 0))))
