;; G26: files without end, none of which it drops
;; expect: 200 ok
;; answer: x
(data (i32.const 1100) "file")
(func $hostile (local $opened i32)
  (call $preopens.get-directories (i32.const 200))
  (loop
    (call $descriptor.open-at (i32.load (i32.load (i32.const 200))) (i32.const 0)
      (i32.const 1100) (i32.const 4) (i32.const 1) (i32.const 3) (i32.const 208))
    (local.set $opened (i32.add (local.get $opened) (i32.const 1)))
    (br_if 0 (i32.eqz (i32.load8_u (i32.const 208)))))
  (call $must (i32.eq (local.get $opened) (i32.const 65)))
  (call $x))
