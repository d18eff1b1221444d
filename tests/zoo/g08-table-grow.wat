;; G8: grows its table until it is told no
;; limits: table_elements = 50
;; expect: 200 ok
;; answer: 50
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (table $t 1 funcref)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 1)) (i32.const -1))))
    (i32.store8 (i32.const 0) (i32.add (i32.const 48) (i32.div_u (table.size $t) (i32.const 10))))
    (i32.store8 (i32.const 1) (i32.add (i32.const 48) (i32.rem_u (table.size $t) (i32.const 10))))
    (call $body (i32.const 0) (i64.const 2))))
