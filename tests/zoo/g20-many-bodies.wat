;; G20: a megabyte as body a thousand times over; only the last, which is small, is kept
;; limits: response_body = "1MiB"
;; expect: 200 ok
;; answer: last
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 17)
  (data (i32.const 8) "last")
  (func (export "handle") (local $left i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $left (i32.const 1000))
    (loop
      (call $body (i32.const 0) (i64.const 1048576))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $body (i32.const 8) (i64.const 4))))
