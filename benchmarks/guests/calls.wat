;; Ours, host calls: GET /calls/:n asks the host n times for its variable `greeting`,
;; and answers with the bytes that were written for it altogether, as a decimal and a newline.
(module
  (import "env" "request_get_param" (func $param (param i32 i64 i32 i64) (result i64)))
  (import "env" "db_get" (func $call (param i32 i64 i32 i64) (result i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2)
  (data (i32.const 0) "ncontent-typetext/plaingreeting")
  ;; 64..95: the parameter as it came; 96..127: the answer, written from its end; 128..: what the host gives

  (func $number (result i32) (local $left i32) (local $at i32) (local $n i32)
    (local.set $left (i32.wrap_i64 (call $param (i32.const 0) (i64.const 1) (i32.const 64) (i64.const 32))))
    (if (i32.gt_u (local.get $left) (i32.const 10)) (then (unreachable)))  ;; missing, or no number of 32 bits
    (block $e (loop $l
      (br_if $e (i32.eqz (local.get $left)))
      (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10))
                             (i32.sub (i32.load8_u offset=64 (local.get $at)) (i32.const 48))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $l)))
    (local.get $n))

  (func $calls (param $n i32) (result i64) (local $sum i64)
    (block $e (loop $l
      (br_if $e (i32.eqz (local.get $n)))
      (local.set $sum (i64.add (local.get $sum)
        (call $call (i32.const 23) (i64.const 8) (i32.const 128) (i64.const 64))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $l)))
    (local.get $sum))

  (func $answer (param $rest i64) (local $at i32)
    (local.set $at (i32.const 127))
    (i32.store8 (local.get $at) (i32.const 10))
    (loop $l
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $rest) (i64.const 10)))))
      (local.set $rest (i64.div_u (local.get $rest) (i64.const 10)))
      (br_if $l (i64.ne (local.get $rest) (i64.const 0))))
    (call $body (local.get $at) (i64.extend_i32_u (i32.sub (i32.const 128) (local.get $at)))))

  (func (export "handle")
    (call $header (i32.const 1) (i64.const 12) (i32.const 13) (i64.const 10))
    (call $answer (call $calls (call $number)))))
