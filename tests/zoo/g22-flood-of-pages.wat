;; G22: records of 900 KB, not one of which fits the quota
;; expect: 200 ok
;; log: 0 records, 1000 dropped
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "log" (func $log (param i32 i64)))
  (memory (export "memory") 15)
  (func (export "handle") (local $left i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $left (i32.const 1000))
    (loop
      (call $log (i32.const 8) (i64.const 900000))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (call $body (i32.const 0) (i64.const 1))))
