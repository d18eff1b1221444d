;; G3 G27: asks for a connection that is not granted, for ever; few refusals are told
;; limits: host_calls = 500
;; expect: 500 host_limit
;; refusals: 10
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "192.0.2.1:80")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop (drop (call $connect (i32.const 8) (i64.const 12))) (br 0))))
