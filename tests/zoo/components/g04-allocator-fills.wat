;; G4: an allocator that takes all memory there is
;; expect: 500 trap
(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable
