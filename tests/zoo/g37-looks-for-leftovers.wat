;; G37: looks for what an earlier guest left in memory, table or globals, then leaves as much as it can
;; limits: memory = "2MiB"
;; expect: 200 ok
;; answer: nothing
(module
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 16)
  (data (i32.const 1048568) "nothing")
  (global $mark (mut i32) (i32.const 0))
  (table $t 100 funcref) (elem declare func $f) (func $f)
  (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
  (func $empty (param $at i32) (param $end i32)
    (loop
      (call $must (i64.eqz (i64.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if 0 (i32.lt_u (local.get $at) (local.get $end)))))
  (func (export "handle")
    (if (i64.eq (call $query (i32.const 0) (i64.const 4)) (i64.const 4))
      (then (call $body (i32.const 0) (i64.const 4)) (return)))
    (i64.store (i32.const 0) (i64.const 0))
    (call $empty (i32.const 0) (i32.const 1048568))
    (call $must (i32.eq (memory.grow (i32.const 16)) (i32.const 16)))
    (call $empty (i32.const 1048576) (i32.const 2097152))
    (call $must (i32.eqz (global.get $mark)))
    (call $must (ref.is_null (table.get $t (i32.const 99))))
    (call $body (i32.const 1048568) (i64.const 7))
    (memory.fill (i32.const 0) (i32.const 170) (i32.const 2097152))
    (global.set $mark (i32.const 1))
    (table.fill $t (i32.const 0) (ref.func $f) (i32.const 100))))
