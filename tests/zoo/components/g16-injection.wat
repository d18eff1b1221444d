;; G16: a value with the end of a line, a name with a blank, a name without a letter
;; expect: 200 ok
;; answer: x
(func $hostile (local $fields i32)
  (local.set $fields (call $fields.new))
  (i32.store (i32.const 600) (i32.const 0x620a0d61))
  (call $must (i32.eq (i32.const 1)
    (call $append (local.get $fields) (i32.const 516) (i32.const 1) (i32.const 600) (i32.const 4))))
  (i32.store (i32.const 600) (i32.const 0x61206161))
  (call $must (i32.eq (i32.const 1)
    (call $append (local.get $fields) (i32.const 600) (i32.const 4) (i32.const 516) (i32.const 1))))
  (call $must (i32.eq (i32.const 1)
    (call $append (local.get $fields) (i32.const 600) (i32.const 0) (i32.const 516) (i32.const 1))))
  (call $x))
