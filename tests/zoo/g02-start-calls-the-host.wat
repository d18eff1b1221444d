;; G2 G3: start spends the budget of host calls
;; limits: host_calls = 500
;; expect: 500 host_limit
;; detail: host_calls
;; good: none, start comes before every request
(module
  (import "env" "clock_now_ms" (func $clock (result i64)))
  (func $start (loop (drop (call $clock)) (br 0)))
  (start $start)
  (func (export "handle")))
