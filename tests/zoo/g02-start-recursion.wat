;; G2 G10: recursion in start
;; expect: 500 stack
;; good: none, start comes before every request
(module
  (func $start (call $start))
  (start $start)
  (func (export "handle")))
