;; G17: the status that the query says
;; request: GET ?0
;; expect: 500 bad_response
;; detail: status 0 is not between 200 and 599
;; request: GET ?99
;; expect: 500 bad_response
;; request: GET ?100
;; expect: 500 bad_response
;; request: GET ?103
;; expect: 500 bad_response
;; request: GET ?199
;; expect: 500 bad_response
;; request: GET ?200
;; expect: 200 ok
;; request: GET ?204
;; expect: 204 ok
;; answer:
;; request: GET ?304
;; expect: 304 ok
;; answer:
;; request: GET ?599
;; expect: 599 ok
;; request: GET ?600
;; expect: 500 bad_response
;; request: GET ?999
;; expect: 500 bad_response
;; request: GET ?1000
;; expect: 500 bad_response
;; request: GET ?65736
;; expect: 500 bad_response
;; detail: status 65736 is not between 200 and 599
;; request: GET ?4294967295
;; expect: 500 bad_response
;; detail: status 4294967295 is not between 200 and 599
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "response_set_status_line" (func $status (param i32 i32 i64)))
  (memory (export "memory") 1)
  (func $number (result i32) (local $at i32) (local $sum i32)
    (loop
      (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 10))
        (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if 0 (i32.load8_u (local.get $at))))
    (local.get $sum))
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 16)) (i64.const 4))
      (then (if (i32.eq (i32.load (i32.const 0)) (i32.const 0x646f6f67))
        (then (call $body (i32.const 0) (i64.const 4)) (return)))))
    (call $status (call $number) (i32.const 0) (i64.const 0))
    (call $body (i32.const 0) (i64.const 16))))
