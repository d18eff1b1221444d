;; G13: a list of pairs at an odd address
;; expect: 500 trap
;; detail: no multiple of 4
(func $hostile
  (call $fields.from-list (i32.const 1025) (i32.const 1) (i32.const 600)))
