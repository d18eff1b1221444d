;; G8: many tables
;; refused: table
(module (table 1 funcref) (table 1 funcref) (table 1 funcref) (func (export "handle")))
