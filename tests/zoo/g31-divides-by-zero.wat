;; G31: divides by zero behind a host call
;; expect: 500 trap
;; detail: integer divide by zero
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (drop (i32.div_u (i32.const 1) (i32.const 0)))))
