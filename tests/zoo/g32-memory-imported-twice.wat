;; G32: imports its memory twice
;; refused: multiple memories
(module (import "env" "memory" (memory 1)) (import "env" "memory" (memory 1)) (func (export "handle")))
