;; G4: there is no memory for the host
;; expect: 500 trap
unreachable
