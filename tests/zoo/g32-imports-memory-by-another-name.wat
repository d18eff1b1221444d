;; G32: imports a memory by a name that is not the contract's
;; refused: is not offered
(module (import "env" "ram" (memory 1)) (func (export "handle")))
