;; G13: a list of two thousand million pairs
;; expect: 500 host_limit
(func $hostile
  (call $fields.from-list (i32.const 1024) (i32.const 0x7fffffff) (i32.const 600)))
