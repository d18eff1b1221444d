;; G1: busy guests of an application that may run one at a time; two may wait, and none long enough
;; limits: timeout = "60ms", concurrency = 1, queue = 2, queue_timeout = "20ms"
;; expect: 504 deadline
;; eight: 1 x 504 deadline, 7 x 503 overloaded
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop (br 0))))
