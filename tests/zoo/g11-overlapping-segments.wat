;; G11: segments over each other and up to the last byte: the later ones win
;; expect: 200 ok
;; answer: z
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 8) "aaaaaaaa") (data (i32.const 4) "bbbbbbbb") (data (i32.const 8) "zz")
  (data (i32.const 65535) "e") (data (i32.const 65536) "")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (call $body (i32.const 9) (i64.const 1))))
