;; G32: imports the memory as a function
;; refused: env.memory () -> () is not offered
(module (import "env" "memory" (func)) (func (export "handle")))
