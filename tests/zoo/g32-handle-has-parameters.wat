;; G32: exports a function of another type
;; refused: function "handle" is (i32) -> (i64), not a function () -> ()
(module (func (export "handle") (param i32) (result i64) (i64.const 0)))
