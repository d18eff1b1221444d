;; G19: a megabyte of a header field
;; expect: 500 host_limit
(func $hostile (local $fields i32)
  (local.set $fields (call $fields.new)) (drop (memory.grow (i32.const 20)))
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 1048576))
  (drop
    (call $append (local.get $fields) (i32.const 516) (i32.const 1) (i32.const 65536) (i32.const 1048576)))
  (call $set (call $outgoing-response.new (local.get $fields))))
