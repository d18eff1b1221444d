;; G21: a name of a field that is no UTF-8
;; expect: 500 trap
(func $hostile
  (drop (call $append (call $fields.new) (i32.const 518) (i32.const 1) (i32.const 0) (i32.const 0))))
