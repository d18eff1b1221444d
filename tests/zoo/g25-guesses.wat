;; G25: reads, writes and closes descriptors that it never opened: 0 to 1024, -1, and the ends of i32
;; env: backend = "{drip}"
;; expect: 200 ok
;; answer: 1027 refused
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (import "env" "tcp_write" (func $write (param i32 i32 i64) (result i64)))
  (import "env" "tcp_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "0000 refused")
  (func $try (param $fd i32) (result i32)
    (i32.and (i32.eq (call $close (local.get $fd)) (i32.const -1))
      (i32.and (i64.eq (call $write (local.get $fd) (i32.const 0) (i64.const 9)) (i64.const -1))
        (i64.eq (call $read (local.get $fd) (i32.const 0) (i64.const 9)) (i64.const -1)))))
  (func $digit (param $at i32) (param $value i32)
    (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10)))))
  (func (export "handle") (local $fd i32) (local $refused i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop
      (local.set $refused (i32.add (local.get $refused) (call $try (local.get $fd))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $fd) (i32.const 1024))))
    (local.set $refused (i32.add (local.get $refused) (call $try (i32.const -1))))
    (local.set $refused (i32.add (local.get $refused) (call $try (i32.const 0x80000000))))
    (local.set $refused (i32.add (local.get $refused) (call $try (i32.const 0x7fffffff))))
    (call $digit (i32.const 8) (i32.div_u (local.get $refused) (i32.const 1000)))
    (call $digit (i32.const 9) (i32.div_u (local.get $refused) (i32.const 100)))
    (call $digit (i32.const 10) (i32.div_u (local.get $refused) (i32.const 10)))
    (call $digit (i32.const 11) (local.get $refused))
    (call $body (i32.const 8) (i64.const 12))))
