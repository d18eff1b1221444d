;; G32: exports a global by the name of the function
;; refused: function "handle" is global, not a function () -> ()
(module (global (export "handle") i32 (i32.const 0)))
