;; G13: a value of four gigabytes
;; expect: 500 host_limit
(func $hostile
  (drop (call $append (call $fields.new) (i32.const 516) (i32.const 1) (i32.const 0) (i32.const -1))))
