;; G5: asks for more memory for ever, in steps of every size
;; limits: memory = "1MiB", timeout = "60ms"
;; expect: 504 deadline
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func (export "handle") (local $step i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (loop
      (drop (memory.grow (local.get $step)))
      (local.set $step (i32.add (i32.mul (local.get $step) (i32.const 1664525)) (i32.const 1013904223)))
      (br 0))))
