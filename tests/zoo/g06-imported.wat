;; G6: the same for a memory that it imports
;; limits: memory = "1MiB"
;; refused: memory starts at 1114112 bytes, beyond the application's limit of 1048576
(module (import "env" "memory" (memory 17)) (func (export "handle")))
