;; G39 G36: paths that lead out of its folder, absolute, by dots, by a link, and into what the system knows of us
;; expect: 200 ok
;; answer: x
(data (i32.const 1100) "/proc/self/environ../../../../../etc/passwdlink")
(func $open (param $at i32) (param $size i32) (result i32)
  (call $descriptor.open-at (i32.load (i32.load (i32.const 200))) (i32.const 1)
    (local.get $at) (local.get $size) (i32.const 0) (i32.const 1) (i32.const 208))
  (i32.load8_u (i32.const 208)))
(func $hostile
  (call $preopens.get-directories (i32.const 200))
  (call $must (call $open (i32.const 1100) (i32.const 18)))
  (call $must (call $open (i32.const 1101) (i32.const 17)))
  (call $must (call $open (i32.const 1118) (i32.const 25)))
  (call $must (call $open (i32.const 1132) (i32.const 11)))
  ;; a link that leads there is not made, and one that is made leads nowhere
  (call $descriptor.symlink-at (i32.load (i32.load (i32.const 200)))
    (i32.const 1133) (i32.const 10) (i32.const 1143) (i32.const 4) (i32.const 216))
  (call $must (i32.or (i32.load8_u (i32.const 216)) (call $open (i32.const 1143) (i32.const 4))))
  (call $descriptor.symlink-at (i32.load (i32.load (i32.const 200)))
    (i32.const 1118) (i32.const 25) (i32.const 1143) (i32.const 3) (i32.const 216))
  (call $must (call $open (i32.const 1143) (i32.const 3)))
  (call $x))
