;; G32: a memory of 64-bit addresses, which are off
;; refused: is not valid
(module (memory (export "memory") i64 1) (func (export "handle")))
