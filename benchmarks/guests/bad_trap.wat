;; Ours, neighbour: traps at once.
(module
  (memory (export "memory") 2)
  (func (export "handle") (unreachable)))
