;; G8: states a larger table than this application may have
;; limits: table_elements = 10
;; refused: table
(module (table 11 funcref) (func (export "handle")))
