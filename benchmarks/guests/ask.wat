;; Ours: asks the backend named in its variable `backend`, waits for what it says, and answers with it.
(module
  (import "env" "db_get" (func $variable (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_write" (func $write (param i32 i32 i64) (result i64)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2)
  (data (i32.const 16) "backendask\n")
  (func (export "handle") (local $descriptor i32) (local $count i64)
    (i32.store (i32.const 70000) (i32.const 1))  ;; a page of its own, as peers_block.wat has
    (local.set $descriptor
      (call $connect (i32.const 64)
        (call $variable (i32.const 16) (i64.const 7) (i32.const 64) (i64.const 64))))
    (drop (call $write (local.get $descriptor) (i32.const 23) (i64.const 4)))
    (local.set $count (call $read (local.get $descriptor) (i32.const 70000) (i64.const 64)))
    (if (i64.le_s (local.get $count) (i64.const 0)) (then (unreachable)))
    (call $body (i32.const 70000) (local.get $count))))
