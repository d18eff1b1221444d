;; G4: an allocator without end
;; expect: 500 stack
(return (call $again (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
