;; G25: a body is finished before its stream
;; expect: 500 trap
;; detail: outgoing-body
(func $hostile (local $body i32)
  (drop (call $stream (local.tee $body (call $begin))))
  (call $outgoing-body.finish (local.get $body) (i32.const 0) (i32.const 0) (i32.const 128)))
