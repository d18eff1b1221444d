;; G13: a result that has to be written to an odd address
;; expect: 500 trap
;; detail: no multiple of 4
(func $hostile
  (call $incoming-request.path-with-query (global.get $request) (i32.const 601)))
