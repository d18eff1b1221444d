;; G3 G22: logs for ever
;; limits: host_calls = 5000
;; expect: 500 host_limit
;; detail: host_calls: more than 5000
;; log: 100 records, 4899 dropped
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "log" (func $log (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop (call $log (i32.const 0) (i64.const 1)) (br 0))))
