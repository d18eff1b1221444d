;; G31: a trap before anything is said
;; expect: 500 trap
(func $hostile
  unreachable)
