;; The time and sixteen random bytes, written by hand: all that a guest is, with nothing hidden.
;; This one imports its memory instead of making it; the host gives it exactly what it states.
(module
  (import "env" "memory" (memory 1 1))
  (import "env" "clock_now_ms" (func $clock_now_ms (result i64)))
  (import "env" "random_get" (func $random_get (param $buffer i32) (param $size i64)))
  (import "env" "response_set_status_line"
    (func $set_status_line (param $status i32) (param $reason i32) (param $size i64)))
  (import "env" "response_set_header"
    (func $set_header (param $name i32) (param i64) (param $value i32) (param i64)))
  (import "env" "response_set_body" (func $set_body (param $body i32) (param $size i64)))

  (data (i32.const 0) "OK")
  (data (i32.const 16) "content-type")
  (data (i32.const 32) "text/plain")
  (data (i32.const 48) "0123456789abcdef")
  (data (i32.const 128) "time 0000000000000 ms, random ")   ;; the body: 30 bytes, 32 digits, a line end
  (data (i32.const 190) "\n")

  ;; Thirteen decimal digits from the right: milliseconds since 1970 need no more until the year 2286.
  (func $write_decimal (param $number i64) (param $at i32)
    (local $left i32)
    (local.set $left (i32.const 13))
    (loop $digit
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (i32.store8 (i32.add (local.get $at) (local.get $left))
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $number) (i64.const 10)))))
      (local.set $number (i64.div_u (local.get $number) (i64.const 10)))
      (br_if $digit (local.get $left))))

  ;; Two digits for each of sixteen bytes; half a byte is an index into the table at 48.
  (func $write_hexadecimal (param $from i32) (param $at i32)
    (local $end i32)
    (local $byte i32)
    (local.set $end (i32.add (local.get $from) (i32.const 16)))
    (loop $next
      (local.set $byte (i32.load8_u (local.get $from)))
      (i32.store8 (local.get $at)
        (i32.load8_u offset=48 (i32.shr_u (local.get $byte) (i32.const 4))))
      (i32.store8 offset=1 (local.get $at)
        (i32.load8_u offset=48 (i32.and (local.get $byte) (i32.const 15))))
      (local.set $at (i32.add (local.get $at) (i32.const 2)))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $from) (local.get $end)))))

  (func (export "handle")
    (call $random_get (i32.const 96) (i64.const 16))
    (call $write_decimal (call $clock_now_ms) (i32.const 133))
    (call $write_hexadecimal (i32.const 96) (i32.const 158))
    (call $set_status_line (i32.const 200) (i32.const 0) (i64.const 2))
    (call $set_header (i32.const 16) (i64.const 12) (i32.const 32) (i64.const 10))
    (call $set_body (i32.const 128) (i64.const 63))))
