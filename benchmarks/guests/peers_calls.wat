;; The peers' host calls: calls(n) asks the host n times for the value of `greeting`, and returns
;; the bytes that were written for it altogether.
(module
  (import "host" "get" (func $call (param i32 i64 i32 i64) (result i64)))
  (memory (export "memory") 2)
  (data (i32.const 23) "greeting")
  (func (export "calls") (param $n i32) (result i64) (local $sum i64)
    (block $e (loop $l
      (br_if $e (i32.eqz (local.get $n)))
      (local.set $sum (i64.add (local.get $sum)
        (call $call (i32.const 23) (i64.const 8) (i32.const 128) (i64.const 64))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $l)))
    (local.get $sum)))
