;; G41: an error in place of a response
;; expect: 500 ok
;; log: 1 record
;; logged: the guest answers with internal-error good
(func $hostile
  (call $response-outparam.set (global.get $out) (i32.const 1) (i32.const 38)
    (i32.const 1) (i64.const 512) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0)))
