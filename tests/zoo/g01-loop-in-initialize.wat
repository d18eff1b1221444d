;; G1: a loop in the constructor of a reactor
;; limits: timeout = "60ms"
;; expect: 504 deadline
;; good: none, the constructor comes before every request
(module
  (func (export "_initialize") (loop (br 0)))
  (func (export "handle")))
