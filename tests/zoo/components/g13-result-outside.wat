;; G13: a result that has to be written behind the memory
;; expect: 500 trap
(func $hostile
  (call $incoming-request.path-with-query (global.get $request) (i32.const -4)))
