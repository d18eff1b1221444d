;; G6 G32: two memories
;; refused: multiple memories
(module (memory (export "memory") 1) (memory 1) (func (export "handle")))
