;; G34: a shared memory; threads are off
;; refused: is not valid
(module (memory (export "memory") 1 1 shared) (func (export "handle")))
