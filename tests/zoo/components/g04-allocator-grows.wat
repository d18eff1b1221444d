;; G4: an allocator under which the memory moves
;; expect: 200 ok
;; answer: x
(drop (memory.grow (i32.const 100)))
