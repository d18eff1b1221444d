;; G13: a list of three thousand pairs that are all the same 64 KiB: 200 MB, in a guest of 128 KiB
;; expect: 500 host_limit
;; detail: canonical ABI
(func $hostile (local $at i32)
  (memory.fill (i32.const 65536) (i32.const 97) (i32.const 65536))
  (loop
    (i32.store offset=1024 (local.get $at) (i32.const 516))
    (i32.store offset=1028 (local.get $at) (i32.const 1))
    (i32.store offset=1032 (local.get $at) (i32.const 65536))
    (i32.store offset=1036 (local.get $at) (i32.const 65536))
    (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 16))) (i32.const 48000))))
  (call $fields.from-list (i32.const 1024) (i32.const 3000) (i32.const 600)))
