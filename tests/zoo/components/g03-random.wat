;; G3: more random bytes than there may be at once
;; expect: 500 host_limit
(func $hostile
  (call $random.get-random-bytes (i64.const 0x10000000000) (i32.const 600)))
