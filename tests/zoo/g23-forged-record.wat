;; G23: a line feed and a record of another application's behind it
;; expect: 200 ok
;; log: 1 record
;; logged: x"}\n{"ts":"2025-01-01T00:00:00.000Z","event":"invocation_finished","application":"neighbour"}\r\n
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "log" (func $log (param i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "x\22}\0a{\22ts\22:\222025-01-01T00:00:00.000Z\22,\22event\22:\22invocation_finished\22,\22application\22:\22neighbour\22}\0d\0a")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $log (i32.const 8) (i64.const 95))
    (call $body (i32.const 0) (i64.const 1))))
