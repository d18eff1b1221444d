;; G19: header fields without end
;; expect: 500 host_limit
(func $hostile (local $fields i32)
  (local.set $fields (call $fields.new))
  (loop
    (br_if 0 (i32.eqz
      (call $append (local.get $fields) (i32.const 516) (i32.const 1) (i32.const 516) (i32.const 1))))))
