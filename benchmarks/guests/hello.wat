;; Ours: what every peer answers too, a type and fourteen bytes.
(module
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2)
  (data (i32.const 16) "Hello, world!\0acontent-typetext/plain")
  (func (export "handle")
    (call $header (i32.const 30) (i64.const 12) (i32.const 42) (i64.const 10))
    (call $body (i32.const 16) (i64.const 14))))
