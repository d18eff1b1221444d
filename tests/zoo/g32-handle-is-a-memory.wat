;; G32: exports its memory by the name of the function
;; refused: function "handle" is from 65536 to any number of bytes, not a function () -> ()
(module (memory (export "handle") 1))
