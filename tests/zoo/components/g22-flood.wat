;; G22: ten thousand lines of four kilobytes on standard error
;; expect: 200 ok
;; answer: x
(func $hostile (local $left i32) (local $stream i32)
  (local.set $left (i32.const 10000)) (local.set $stream (call $stderr.get-stderr))
  (memory.fill (i32.const 4096) (i32.const 97) (i32.const 4096))
  (i32.store8 (i32.const 8191) (i32.const 10))
  (loop
    (drop (call $write (local.get $stream) (i32.const 4096) (i32.const 4096)))
    (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
  (call $x))
