;; G22: twenty thousand records of one byte
;; expect: 200 ok
;; log: 100 records, 19900 dropped
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "log" (func $log (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle") (local $left i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $left (i32.const 20000))
    (loop
      (call $log (i32.const 8) (i64.const 1))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $body (i32.const 0) (i64.const 1))))
