;; G3: host calls are the guest's own processor time
;; limits: host_calls = 1000000000, timeout = "10s", cpu = "40ms"
;; expect: 504 cpu
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop (drop (call $get (i32.const 0) (i64.const 9) (i32.const 0) (i64.const 64))) (br 0))))
