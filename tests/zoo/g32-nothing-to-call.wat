;; G32: exports no function
;; refused: function "handle" does not exist; it exports no function () -> ()
(module)
