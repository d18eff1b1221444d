;; G25: header fields that a response has taken
;; expect: 500 trap
(func $hostile (local $fields i32)
  (local.set $fields (call $fields.new))
  (drop (call $outgoing-response.new (local.get $fields)))
  (drop (call $append (local.get $fields) (i32.const 516) (i32.const 1) (i32.const 0) (i32.const 0))))
