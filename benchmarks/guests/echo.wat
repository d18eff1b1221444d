;; Ours, echo: POST /echo answers with the body, copied once within the guest as the peers' guest does.
;; Up to 1 MiB, all that the peers take, fits into the memory it starts with; beyond, it grows by what is missing.
(module
  (import "env" "request_get_body" (func $get (param i64 i32 i64) (result i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 40)
  (data (i32.const 0) "content-typetext/plain")
  (global $input i32 (i32.const 65536))

  (func $room (param $bytes i32) (local $more i32)
    (local.set $more
      (i32.sub (i32.shr_u (i32.add (local.get $bytes) (i32.const 65535)) (i32.const 16)) (memory.size)))
    (if (i32.gt_s (local.get $more) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $more)) (i32.const -1)) (then (unreachable))))))

  (func (export "handle") (local $length i32) (local $output i32)
    (local.set $length (i32.wrap_i64 (call $get (i64.const 0) (global.get $input) (i64.const 1048576))))
    (local.set $output (i32.add (global.get $input) (local.get $length)))
    (call $room (i32.add (local.get $output) (local.get $length)))
    (if (i32.gt_u (local.get $length) (i32.const 1048576))  ;; the rest of a body larger than the peers take
      (then (drop (call $get (i64.const 1048576) (i32.add (global.get $input) (i32.const 1048576))
                             (i64.extend_i32_u (i32.sub (local.get $length) (i32.const 1048576)))))))
    (memory.copy (local.get $output) (global.get $input) (local.get $length))
    (call $header (i32.const 0) (i64.const 12) (i32.const 12) (i64.const 10))
    (call $body (local.get $output) (i64.extend_i32_u (local.get $length)))))
