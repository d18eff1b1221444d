;; G17: no status is 99, 101 or 65535
;; expect: 200 ok
;; answer: x
(func $hostile (local $response i32)
  (local.set $response (call $response))
  (call $must (call $outgoing-response.set-status-code (local.get $response) (i32.const 99)))
  (call $must (call $outgoing-response.set-status-code (local.get $response) (i32.const 101)))
  (call $must (call $outgoing-response.set-status-code (local.get $response) (i32.const 65535)))
  (call $drop.outgoing-response (local.get $response))
  (call $x))
