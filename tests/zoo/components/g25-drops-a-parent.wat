;; G25: a body is dropped before its stream
;; expect: 500 trap
;; detail: outgoing-body
(func $hostile (local $body i32)
  (drop (call $stream (local.tee $body (call $begin)))) (call $drop.outgoing-body (local.get $body)))
