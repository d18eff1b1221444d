;; G32 G13: a memory of no pages has room for the empty window alone
;; request: GET
;; expect: 200 ok
;; answer:
;; request: GET ?one
;; expect: 500 trap
;; detail: memory_bounds: 1 bytes at 0, memory has 0
;; good: none, it has no room for the answer
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 0)
  (func (export "handle")
    (if (i64.eqz (call $query (i32.const 0) (i64.const 0)))
      (then (call $body (i32.const 0) (i64.const 0)) (return)))
    (call $body (i32.const 0) (i64.const 1))))
