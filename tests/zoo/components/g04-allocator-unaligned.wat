;; G4: the host is given an odd address
;; expect: 500 trap
;; detail: no multiple of 4
(return (i32.const 70001))
