;; G40: a hundred increments of one key; no sum is ever seen twice
;; grants: key_value = ["zoo"]
;; first: 200
;; expect: 200 ok
;; answer: more
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "kv_increment" (func $add (param i32 i64 i64) (result i64)))
  (memory (export "memory") 1) (data (i32.const 8) "more")
  (func (export "handle") (local $left i32) (local $sum i64) (local $before i64)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $left (i32.const 100))
    (loop $again
      (local.set $sum (call $add (i32.const 8) (i64.const 4) (i64.const 1)))
      (if (i64.le_s (local.get $sum) (local.get $before)) (then (return)))
      (local.set $before (local.get $sum))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $body (i32.const 8) (i64.const 4))))
