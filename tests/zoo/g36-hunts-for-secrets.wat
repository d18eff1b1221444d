;; G36: looks for variables of others and of the process, in every spelling, and for others' headers
;; env: own = "1"
;; expect: 200 ok
;; answer: none
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "request_get_param" (func $param (param i32 i64 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "none")
  (data (i32.const 1024) "neighbour\00NEIGHBOUR\00neighbou\00neighbour \00own=1\00OWN\00own \00PATH\00HOME\00path\00")
  (data (i32.const 1095) "SERVERLESS_WASM\00../neighbour\00neighbour/secret\00env\00*\00secre*\00Secret\00__class__\00")
  (func $end (param $at i32) (result i32)
    (loop
      (if (i32.load8_u (local.get $at))
        (then (local.set $at (i32.add (local.get $at) (i32.const 1))) (br 1))))
    (local.get $at))
  (func $found (param $at i32) (param $size i64) (result i32)
    (i32.or
      (i64.ne (i64.const -1) (call $get (local.get $at) (local.get $size) (i32.const 32768) (i64.const 9999)))
      (i64.ne (i64.const -1) (call $param (local.get $at) (local.get $size) (i32.const 32768) (i64.const 9999)))))
  (func (export "handle") (local $at i32) (local $end i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $at (i32.const 1024))
    (loop
      (local.set $end (call $end (local.get $at)))
      (if (i32.ne (local.get $end) (local.get $at)) (then
        (if (call $found (local.get $at) (i64.extend_i32_u (i32.sub (local.get $end) (local.get $at))))
          (then (call $body (i32.const 32768) (i64.const 9999)) (return)))
        ;; and with the NUL at its end
        (if (call $found (local.get $at) (i64.extend_i32_u (i32.add (i32.const 1) (i32.sub (local.get $end) (local.get $at)))))
          (then (call $body (i32.const 32768) (i64.const 9999)) (return)))))
      (local.set $at (i32.add (local.get $end) (i32.const 1)))
      (br_if 0 (i32.lt_u (local.get $at) (i32.const 1300))))
    (call $body (i32.const 8) (i64.const 4))))
