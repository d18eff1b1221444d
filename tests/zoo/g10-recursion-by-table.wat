;; G10: two functions call each other through a table, for ever
;; expect: 500 stack
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (type $none (func))
  (table funcref (elem $one $two))
  (func $one (call_indirect (type $none) (i32.const 1)))
  (func $two (call_indirect (type $none) (i32.const 0)))
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $one)))
