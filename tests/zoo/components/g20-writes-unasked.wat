;; G20: more than the stream has said it takes
;; expect: 500 trap
(func $hostile
  (drop (memory.grow (i32.const 200)))
  (call $output-stream.write (call $stream (call $begin)) (i32.const 0) (i32.const 13000000) (i32.const 48)))
