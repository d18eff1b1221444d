;; G26: opens connections for ever and closes none; the ninth is refused for want of room
;; env: backend = "{counted}"
;; limits: sockets = 8
;; expect: 200 ok
;; answer: 8
;; connections: 64
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "backend")
  (func (export "handle") (local $fd i32) (local $open i32) (local $left i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $left (i32.const 100))
    (loop
      (local.set $fd
        (call $connect (i32.const 64) (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64))))
      (if (i32.eq (local.get $fd) (i32.const -1)) (then unreachable))
      (if (i32.ge_s (local.get $fd) (i32.const 0))
        (then (local.set $open (i32.add (local.get $open) (i32.const 1)))))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i32.store8 (i32.const 0) (i32.add (i32.const 48) (local.get $open)))
    (call $body (i32.const 0) (i64.const 1))))
