;; G18: fields that are the connection's
;; expect: 200 ok
;; answer: x
(func $hostile (local $fields i32) (local $at i32)
  (local.set $fields (call $fields.new)) (local.set $at (i32.const 700))
  (loop
    (call $must
      (i32.eq (i32.const 2) (call $append (local.get $fields) (i32.add (local.get $at) (i32.const 1))
      (i32.load8_u (local.get $at)) (i32.const 516) (i32.const 1))))
    (local.set $at (i32.add (i32.add (local.get $at) (i32.const 1)) (i32.load8_u (local.get $at))))
    (br_if 0 (i32.load8_u (local.get $at))))
  (call $x))
