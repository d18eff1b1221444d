;; G24: traps in functions whose names would move a cursor and forge a line
;; expect: 500 trap
;; detail: unreachable
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func $f (@name "\0a{\22event\22:\22x\22}\1b[2J\e2\80\ae") unreachable)
  (func $handle (@name "\0d\0a\00handle") (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $f)))
