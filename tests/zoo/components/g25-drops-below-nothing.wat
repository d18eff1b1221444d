;; G25: there is no handle -1
;; expect: 500 trap
(func $hostile
  (call $drop.pollable (i32.const -1)))
