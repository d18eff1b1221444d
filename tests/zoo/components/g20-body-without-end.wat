;; G20: a body of more bytes than a response may have
;; limits: response_body = "1MiB"
;; expect: cut host_limit
(func $hostile (local $stream i32)
  (local.set $stream (call $stream (call $begin)))
  (loop (br_if 0 (i32.eqz (call $write (local.get $stream) (i32.const 0) (i32.const 4096)))))
  unreachable)
