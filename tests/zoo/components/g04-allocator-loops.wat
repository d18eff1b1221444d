;; G4: memory for the host is looked for for ever
;; expect: 500 trap
;; detail: realloc
(loop (br 0))
