;; G3: an empty list is no way to wait
;; expect: 500 trap
(func $hostile
  (call $poll.poll (i32.const 600) (i32.const 0) (i32.const 608)))
