;; G8: states a larger table than any application may have
;; refused: table
(module (table 20000000 funcref) (func (export "handle")))
