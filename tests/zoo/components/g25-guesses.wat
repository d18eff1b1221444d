;; G25: a pollable that nobody gave it
;; expect: 500 trap
;; detail: 1234 is none
(func $hostile
  (drop (call $pollable.ready (i32.const 1234))))
