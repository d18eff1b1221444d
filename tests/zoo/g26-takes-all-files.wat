;; G26: opens a file until it gets no more, and keeps all to the deadline; all its invocations together may have four
;; limits: application_files = 4, timeout = "60ms"
;; expect: 504 deadline
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "file")
  (func (export "handle") (local $opened i32) (local $refusal i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop $again
      (local.set $refusal (call $open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 4)
        (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
      (if (i32.eqz (local.get $refusal)) (then
        (local.set $opened (i32.add (local.get $opened) (i32.const 1)))
        (br_if $again (i32.le_u (local.get $opened) (i32.const 4))))))
    (if (i32.ne (local.get $refusal) (i32.const 33)) (then (unreachable))) ;; mfile
    (loop (br 0))))
