;; G3: more random bytes than one call gives
;; expect: 500 host_limit
;; detail: random_get: 1048577 bytes
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "random_get" (func $random (param i32 i64)))
  (memory (export "memory") 17)
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $random (i32.const 0) (i64.const 1048577))))
