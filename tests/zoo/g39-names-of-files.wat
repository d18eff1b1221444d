;; G39: paths that leave their place, of others, of no file, of 4 KiB; each is refused for reading and for writing
;; grants: files = { "/files" = { url = "files", write = true, quota = "64KiB" } }
;; first: 200
;; expect: 200 ok
;; answer: refused
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "file_get" (func $get (param i32 i64 i64 i32 i64) (result i64)))
  (import "env" "file_put" (func $put (param i32 i64 i32 i64) (result i32)))
  (import "env" "file_delete" (func $delete (param i32 i64) (result i32)))
  (memory (export "memory") 1) (data (i32.const 8) "refused")
  (data (i32.const 1024) "../../etc/passwd\09" "/files/../../etc/passwd\09" "/files/..\09" "/files/./a\09" "/files//a\09" "/etc/passwd\09" "/files/a\00b\09" "/files/\ff\09" "/files/a\0ab\09" "/files\5c..\5ca\09" "/\09" "files/a\09" "/Files/a\09" "/files/.serverless-wasm-a\09")
  (data (i32.const 4096) "/files/")
  (func $passes (param $at i32) (param $size i64) (result i32)
    (i32.or
      (i64.ne (i64.const -2) (call $get (local.get $at) (local.get $size) (i64.const 0) (i32.const 32768) (i64.const 9999)))
      (i32.or
        (i32.ne (i32.const -2) (call $put (local.get $at) (local.get $size) (i32.const 8) (i64.const 7)))
        (i32.ne (i32.const -2) (call $delete (local.get $at) (local.get $size))))))
  (func (export "handle") (local $at i32) (local $end i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $at (i32.const 1024))
    (memory.fill (i32.const 4103) (i32.const 97) (i32.const 4096))
    (if (call $passes (i32.const 4096) (i64.const 4096)) (then (return)))
    (block $done (loop $next
      (local.set $end (local.get $at))
      (loop $on
        (if (i32.ne (i32.load8_u (local.get $end)) (i32.const 9))
          (then (local.set $end (i32.add (local.get $end) (i32.const 1))) (br $on))))
      (if (call $passes (local.get $at) (i64.extend_i32_u (i32.sub (local.get $end) (local.get $at)))) (then (return)))
      (local.set $at (i32.add (local.get $end) (i32.const 1)))
      (br_if $next (i32.load8_u (local.get $at)))))
    (call $body (i32.const 8) (i64.const 7))))
