;; G25: uses a descriptor after it closed it; the next one has another number
;; env: backend = "{drip}"
;; expect: 200 ok
;; answer: as it must
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (import "env" "tcp_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "backend") (data (i32.const 16) "as it must")
  (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func (export "handle") (local $size i64)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $size (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64)))
    (call $must (i32.eq (call $connect (i32.const 64) (local.get $size)) (i32.const 0)))
    (call $must (i32.eq (call $close (i32.const 0)) (i32.const 0)))
    (call $must (i32.eq (call $close (i32.const 0)) (i32.const -1)))
    (call $must (i64.eq (call $read (i32.const 0) (i32.const 0) (i64.const 9)) (i64.const -1)))
    (call $must (i32.eq (call $connect (i32.const 64) (local.get $size)) (i32.const 1)))
    (call $must (i64.eq (call $read (i32.const 0) (i32.const 0) (i64.const 9)) (i64.const -1)))
    (call $must (i64.gt_s (call $read (i32.const 1) (i32.const 0) (i64.const 9)) (i64.const 0)))
    (call $body (i32.const 16) (i64.const 10))))
