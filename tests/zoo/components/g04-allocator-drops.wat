;; G4: an allocator that drops the request while the host hands over what is in it
;; expect: 500 trap
;; detail: within realloc
(call $drop.incoming-request (i32.const 1))
