;; Ours, neighbour: never comes back and never calls the host.
(module
  (memory (export "memory") 2)
  (func (export "handle") (loop $l (br $l))))
