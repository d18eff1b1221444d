;; G29 G27: calls the service that it runs in, through a block that covers its address: only the address itself grants that
;; env: service = "tcp://{service}"
;; outbound: "tcp://127.0.0.0/8:*"
;; expect: 200 ok
;; answer: -
;; refusals: 1
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "service-")
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (if (i32.ne (i32.const -1) (call $connect (i32.const 70)
        (i64.sub (call $get (i32.const 8) (i64.const 7) (i32.const 64) (i64.const 64)) (i64.const 6))))
      (then unreachable))
    (call $body (i32.const 15) (i64.const 1))))
