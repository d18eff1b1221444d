;; G4: the host is given memory behind the memory
;; expect: 500 trap
;; detail: memory_bounds
(return (i32.const -16))
