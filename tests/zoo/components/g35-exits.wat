;; G35: a component that says it failed
;; expect: 500 exit
;; detail: exit code 1
(func $hostile
  (call $exit.exit (i32.const 1)))
