;; G30: reads a stream without an end, which ends for it after a megabyte
;; env: backend = "{flood}"
;; limits: timeout = "10s", socket_received = "1MiB"
;; expect: 200 ok
;; answer: 1048576
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (memory (export "memory") 2)
  (data (i32.const 8) "backend")
  (func (export "handle") (local $fd i32) (local $got i64) (local $sum i64) (local $at i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $fd
      (call $connect (i32.const 64) (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64))))
    (loop
      (local.set $got (call $read (local.get $fd) (i32.const 1024) (i64.const 65536)))
      (if (i64.gt_s (local.get $got) (i64.const 0)) (then
        (local.set $sum (i64.add (local.get $sum) (local.get $got)))
        (br 1))))
    (local.set $at (i32.const 40))
    (loop
      (i32.store8 (local.tee $at (i32.sub (local.get $at) (i32.const 1)))
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $sum) (i64.const 10)))))
      (br_if 0 (i64.ne (local.tee $sum (i64.div_u (local.get $sum) (i64.const 10))) (i64.const 0))))
    (call $body (local.get $at) (i64.extend_i32_u (i32.sub (i32.const 40) (local.get $at))))))
