;; G32: passes a window without a memory to have it in
;; expect: 500 trap
;; detail: the module exports no memory
;; good: none, it can neither read nor answer
(module
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (func (export "handle") (call $body (i32.const 0) (i64.const 0))))
