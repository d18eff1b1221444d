;; G39: three hundred keys where there is room for some seventy, one too long, and a value too large
;; grants: key_value = ["zoo"]
;; first: 200
;; expect: 200 ok
;; answer: full
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "kv_set" (func $set (param i32 i64 i32 i64) (result i32)))
  (import "env" "kv_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "kv_delete" (func $delete (param i32 i64) (result i32)))
  (import "env" "random_get" (func $random (param i32 i64)))
  (memory (export "memory") 1) (data (i32.const 8) "full")
  (func (export "handle") (local $left i32) (local $full i32) (local $answer i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $random (i32.const 20) (i64.const 8)) ;; keys that no other request has
    (local.set $left (i32.const 300))
    (loop $more
      (i32.store (i32.const 16) (local.get $left))
      (local.set $answer (call $set (i32.const 16) (i64.const 12) (i32.const 64) (i64.const 100)))
      (if (local.get $answer) (then
        (if (i32.ne (local.get $answer) (i32.const -3)) (then (return)))
        (local.set $full (i32.add (local.get $full) (i32.const 1)))))
      (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (if (i32.ne (i32.const -3) (call $set (i32.const 64) (i64.const 1025) (i32.const 64) (i64.const 1))) (then (return)))
    (if (i32.ne (i32.const -3) (call $set (i32.const 64) (i64.const 1) (i32.const 64) (i64.const 1025))) (then (return)))
    (if (i32.ne (i32.const -3) (call $set (i32.const 64) (i64.const 1) (i32.const 64) (i64.const 60000))) (then (return)))
    (local.set $left (i32.const 300))
    (loop $less
      (i32.store (i32.const 16) (local.get $left))
      (if (call $delete (i32.const 16) (i64.const 12)) (then (return)))
      (br_if $less (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (if (i32.gt_s (local.get $full) (i32.const 200)) (then (call $body (i32.const 8) (i64.const 4))))))
