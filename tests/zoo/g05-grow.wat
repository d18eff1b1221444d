;; G5: grows its memory until it is told no, and touches every page
;; limits: memory = "4MiB"
;; expect: 200 ok
;; answer: 64
;; peak: 4194304
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle") (local $page i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop
      (i32.store (i32.mul (local.get $page) (i32.const 65536)) (i32.const -1))
      (local.set $page (i32.add (local.get $page) (i32.const 1)))
      (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
    (i32.store8 (i32.const 0) (i32.add (i32.const 48) (i32.div_u (local.get $page) (i32.const 10))))
    (i32.store8 (i32.const 1) (i32.add (i32.const 48) (i32.rem_u (local.get $page) (i32.const 10))))
    (call $body (i32.const 0) (i64.const 2))))
