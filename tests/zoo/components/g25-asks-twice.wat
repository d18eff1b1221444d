;; G25: whatever there is once is no error to ask for twice
;; expect: 200 ok
;; answer: x
(func $hostile (local $response i32) (local $body i32)
  (local.set $response (call $response)) (local.set $body (call $body (local.get $response)))
  (call $outgoing-response.body (local.get $response) (i32.const 32))
  (call $must (i32.load8_u (i32.const 32)))
  (call $drop.output-stream (call $stream (local.get $body)))
  (call $outgoing-body.write (local.get $body) (i32.const 32))
  (call $must (i32.load8_u (i32.const 32)))
  (call $incoming-request.consume (global.get $request) (i32.const 32))
  (call $incoming-request.consume (global.get $request) (i32.const 40))
  (call $must (i32.load8_u (i32.const 40)))
  (call $drop.incoming-body (i32.load (i32.const 36)))
  (call $drop.outgoing-body (local.get $body)) (call $drop.outgoing-response (local.get $response))
  (call $x))
