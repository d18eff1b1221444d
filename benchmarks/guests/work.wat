;; Ours, compute: GET /work/:n answers with the state of xorshift32 after n rounds, as a signed decimal and a newline.
;; The loop is the one of the peers' guest, instruction by instruction.
(module
  (import "env" "request_get_param" (func $param (param i32 i64 i32 i64) (result i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 2)
  (data (i32.const 0) "ncontent-typetext/plain")
  ;; 64..95: the parameter as it came; 96..127: the answer, written from its end

  (func $work (param $n i32) (result i32) (local $s i32)
    (local.set $s (i32.const 2463534242))
    (block $e (loop $l
      (br_if $e (i32.eqz (local.get $n)))
      (local.set $s (i32.xor (local.get $s) (i32.shl (local.get $s) (i32.const 13))))
      (local.set $s (i32.xor (local.get $s) (i32.shr_u (local.get $s) (i32.const 17))))
      (local.set $s (i32.xor (local.get $s) (i32.shl (local.get $s) (i32.const 5))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $l)))
    (local.get $s))

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

  (func $answer (param $value i32) (local $rest i64) (local $at i32)
    (local.set $rest (i64.extend_i32_s (local.get $value)))
    (if (i64.lt_s (local.get $rest) (i64.const 0))
      (then (local.set $rest (i64.sub (i64.const 0) (local.get $rest)))))
    (local.set $at (i32.const 127))
    (i32.store8 (local.get $at) (i32.const 10))
    (loop $l
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (i32.store8 (local.get $at)
        (i32.add (i32.const 48) (i32.wrap_i64 (i64.rem_u (local.get $rest) (i64.const 10)))))
      (local.set $rest (i64.div_u (local.get $rest) (i64.const 10)))
      (br_if $l (i64.ne (local.get $rest) (i64.const 0))))
    (if (i32.lt_s (local.get $value) (i32.const 0))
      (then
        (local.set $at (i32.sub (local.get $at) (i32.const 1)))
        (i32.store8 (local.get $at) (i32.const 45))))
    (call $body (local.get $at) (i64.extend_i32_u (i32.sub (i32.const 128) (local.get $at)))))

  (func (export "handle")
    (call $header (i32.const 1) (i64.const 12) (i32.const 13) (i64.const 10))
    (call $answer (call $work (call $number)))))
