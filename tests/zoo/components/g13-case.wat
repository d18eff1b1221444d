;; G13: the fortieth of thirty-nine errors
;; expect: 500 trap
;; detail: case 39 of 39
(func $hostile
  (call $response-outparam.set (global.get $out) (i32.const 1) (i32.const 39)
    (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
