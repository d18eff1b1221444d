;; G32: imports a table
;; refused: env.table table is not offered
(module (import "env" "table" (table 1 funcref)) (func (export "handle")))
