;; G2: a loop in start
;; limits: timeout = "60ms"
;; expect: 504 deadline
;; good: none, start comes before every request
(module
  (func $start (loop (br 0)))
  (start $start)
  (func (export "handle")))
