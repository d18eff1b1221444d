;; G25: there is no handle 0
;; expect: 500 trap
(func $hostile
  (call $drop.pollable (i32.const 0)))
