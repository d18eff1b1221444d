;; G31: calls through its table what has another type, what is null, and what is not there
;; request: GET ?t
;; expect: 500 trap
;; detail: indirect call type mismatch
;; request: GET ?n
;; expect: 500 trap
;; detail: uninitialized element
;; request: GET ?o
;; expect: 500 trap
;; detail: undefined element: out of bounds table access
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (type $none (func)) (type $one (func (param i32)))
  (table 2 funcref) (elem (i32.const 0) $f) (func $f (param i32))
  (func (export "handle") (local $which i32)
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (local.set $which (i32.load8_u (i32.const 0)))
    (call_indirect (type $none)
      (if (result i32) (i32.eq (local.get $which) (i32.const 116)) (then (i32.const 0)) (else
        (if (result i32) (i32.eq (local.get $which) (i32.const 110)) (then (i32.const 1)) (else (i32.const 99))))))))
