;; G13: a name of a field that lies behind the memory
;; expect: 500 trap
;; detail: memory_bounds
(func $hostile
  (drop (call $append (call $fields.new) (i32.const -16) (i32.const 100) (i32.const 0) (i32.const 0))))
