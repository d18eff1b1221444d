;; G32: exports a table by the name of the memory
;; refused: export "memory" is table, not a memory
(module (table (export "memory") 1 funcref) (func (export "handle")))
