;; G32: exports a function by the name of the memory
;; refused: export "memory" is () -> (), not a memory
(module (func (export "memory")) (func (export "handle")))
