;; G4: the host is given the same memory each time
;; expect: 200 ok
;; answer: x
(return (i32.const 65536))
