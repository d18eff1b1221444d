;; G20: zeroes without end
;; expect: 500 trap
(func $hostile
  (call $output-stream.write-zeroes (call $stream (call $begin)) (i64.const -1) (i32.const 48)))
