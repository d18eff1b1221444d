;; G20: more than there may be in one blocking write
;; expect: 500 trap
(func $hostile
  (drop (call $write (call $stream (call $begin)) (i32.const 0) (i32.const 4097))))
