;; G13: windows at, around and far beyond the end of its memory, as the first letter of the query says
;; request: GET ?at-the-end-and-empty
;; expect: 200 ok
;; request: GET ?beyond-the-end-and-empty
;; expect: 500 trap
;; detail: memory_bounds: 0 bytes at 65537, memory has 65536
;; request: GET ?up-to-the-end
;; expect: 200 ok
;; request: GET ?one-more
;; expect: 500 trap
;; detail: memory_bounds: 2 bytes at 65535, memory has 65536
;; request: GET ?negative-pointer
;; expect: 500 trap
;; detail: memory_bounds: 1 bytes at 4294967295, memory has 65536
;; request: GET ?wraps-32-bits
;; expect: 500 trap
;; detail: memory_bounds: 4294967295 bytes at 2, memory has 65536
;; request: GET ?x-wraps-64-bits
;; expect: 500 trap
;; detail: memory_bounds: 18446744073709551615 bytes at 2, memory has 65536
;; request: GET ?sign-bit-of-the-size
;; expect: 500 trap
;; detail: memory_bounds: 9223372036854775808 bytes at 0, memory has 65536
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (func $is (param i32) (result i32) (i32.eq (i32.load8_u (i32.const 0)) (local.get 0)))
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (if (call $is (i32.const 97)) (then (call $body (i32.const 65536) (i64.const 0))))
    (if (call $is (i32.const 98)) (then (call $body (i32.const 65537) (i64.const 0))))
    (if (call $is (i32.const 117)) (then (call $body (i32.const 65535) (i64.const 1))))
    (if (call $is (i32.const 111)) (then (call $body (i32.const 65535) (i64.const 2))))
    (if (call $is (i32.const 110)) (then (call $body (i32.const -1) (i64.const 1))))
    (if (call $is (i32.const 119)) (then (call $body (i32.const 2) (i64.const 0xffffffff))))
    (if (call $is (i32.const 120)) (then (call $body (i32.const 2) (i64.const -1))))
    (if (call $is (i32.const 115)) (then (call $body (i32.const 0) (i64.const 0x8000000000000000))))))
