;; G38: the only clock counts milliseconds: between 2020 and 2100 as such, not as microseconds
;; expect: 200 ok
;; answer: milliseconds
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "clock_now_ms" (func $clock (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "milliseconds")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (if (i64.lt_u (call $clock) (i64.const 1577836800000)) (then unreachable))
    (if (i64.gt_u (call $clock) (i64.const 4102444800000)) (then unreachable))
    (call $body (i32.const 8) (i64.const 12))))
