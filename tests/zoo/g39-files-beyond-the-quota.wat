;; G39: files until there is no more room, then all of them removed again
;; grants: files = { "/files" = { url = "files", write = true, quota = "64KiB" } }
;; first: 200
;; expect: 200 ok
;; answer: full
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "file_put" (func $put (param i32 i64 i32 i64) (result i32)))
  (import "env" "file_delete" (func $delete (param i32 i64) (result i32)))
  (import "env" "random_get" (func $random (param i32 i64)))
  (memory (export "memory") 1) (data (i32.const 8) "full") (data (i32.const 16) "/files/a........")
  (func $names (local $at i32) ;; that no other request has
    (call $random (i32.const 24) (i64.const 8))
    (local.set $at (i32.const 24))
    (loop
      (i32.store8 (local.get $at) (i32.add (i32.const 97) (i32.and (i32.load8_u (local.get $at)) (i32.const 15))))
      (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 1))) (i32.const 32)))))
  (func (export "handle") (local $letter i32) (local $full i32) (local $answer i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $names)
    (local.set $letter (i32.const 97))
    (loop $more
      (i32.store8 (i32.const 23) (local.get $letter))
      (local.set $answer (call $put (i32.const 16) (i64.const 16) (i32.const 1024) (i64.const 10000)))
      (if (local.get $answer) (then
        (if (i32.ne (local.get $answer) (i32.const -3)) (then (return)))
        (local.set $full (i32.const 1))))
      (br_if $more (i32.lt_u (local.tee $letter (i32.add (local.get $letter) (i32.const 1))) (i32.const 107))))
    (local.set $letter (i32.const 97))
    (loop $less
      (i32.store8 (i32.const 23) (local.get $letter))
      (if (call $delete (i32.const 16) (i64.const 16)) (then (return)))
      (br_if $less (i32.lt_u (local.tee $letter (i32.add (local.get $letter) (i32.const 1))) (i32.const 107))))
    (if (local.get $full) (then (call $body (i32.const 8) (i64.const 4))))))
