;; G1 G2: a loop in start under a limit of processor time
;; limits: timeout = "10s", cpu = "40ms"
;; expect: 504 cpu
;; good: none, start comes before every request
(module
  (func $start (loop (br 0)))
  (start $start)
  (func (export "handle")))
