;; G4: an allocator that calls the host, which called it
;; expect: 500 trap
;; detail: within realloc
(drop (call $monotonic-clock.now))
