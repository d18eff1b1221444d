;; Ours, neighbour: reads a body of up to 1 MiB and answers with two letters.
(module
  (import "env" "request_get_body" (func $get (param i64 i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 20)
  (data (i32.const 0) "ok\n")
  (func (export "handle")
    (drop (call $get (i64.const 0) (i32.const 65536) (i64.const 1048576)))
    (call $body (i32.const 0) (i64.const 3))))
