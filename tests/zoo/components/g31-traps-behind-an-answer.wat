;; G31: a trap once all is said, and nothing was sent
;; expect: 500 trap
;; early: 200
(func $hostile (call $x) unreachable)
