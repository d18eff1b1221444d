;; G35: a component that ends itself when all is said
;; expect: 200 ok
;; answer: x
(func $hostile
  (call $x) (call $exit.exit (i32.const 0)))
