;; G16: the header fields of the request are not the guest's
;; expect: 200 ok
;; answer: x
(func $hostile
  (call $must (i32.eq (i32.const 3) (call $append (call $incoming-request.headers (global.get $request))
    (i32.const 516) (i32.const 1) (i32.const 516) (i32.const 1))))
  (call $x))
