;; Theirs, suspend.c: has a page of its own, then waits in a host function.
(module
  (import "host" "wait" (func $wait))
  (memory (export "memory") 2)
  (data (i32.const 16) "Hello, world!\0a")
  (func (export "run")
    (i32.store (i32.const 70000) (i32.const 1))
    (call $wait)))
