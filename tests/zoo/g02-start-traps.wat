;; G2: a trap in start
;; expect: 500 trap
;; detail: unreachable
;; good: none, start comes before every request
(module
  (func $start unreachable)
  (start $start)
  (func (export "handle")))
