;; G25: a handle that is dropped twice
;; expect: 500 trap
(func $hostile (local $fields i32)
  (local.set $fields (call $fields.new))
  (call $drop.fields (local.get $fields)) (call $drop.fields (local.get $fields)))
