;; G35: a component that ends itself before its answer
;; expect: 500 bad_response
(func $hostile
  (call $exit.exit (i32.const 0)))
