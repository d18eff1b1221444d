;; Ours, neighbour: connects to the backend named in its variable `backend`, which says nothing, and waits for it.
(module
  (import "env" "db_get" (func $variable (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2)
  (data (i32.const 0) "backendend\n")
  (func (export "handle")
    (drop (call $read
      (call $connect (i32.const 64)
        (call $variable (i32.const 0) (i64.const 7) (i32.const 64) (i64.const 64)))
      (i32.const 128) (i64.const 1)))
    (call $body (i32.const 7) (i64.const 4))))
