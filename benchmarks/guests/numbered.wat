;; Ours and theirs: one of many small applications, which differ in what they say. benchmarks/many.py writes its number.
(module
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2)
  (data (i32.const 16) "Hello from 00000\n")
  (func (export "handle")
    (call $body (i32.const 16) (i64.const 17))))
