;; G39: writes beyond the quota of its scratch folder, and goes on with what else there is
;; limits: scratch = "256KiB"
;; expect: 200 ok
;; answer: x
(data (i32.const 1100) "file")
(func $hostile (local $file i32) (local $at i64)
  (call $preopens.get-directories (i32.const 200))
  (call $descriptor.open-at (i32.load (i32.load (i32.const 200))) (i32.const 0)
    (i32.const 1100) (i32.const 4) (i32.const 1) (i32.const 3) (i32.const 208))
  (call $must (i32.eqz (i32.load8_u (i32.const 208))))
  (local.set $file (i32.load (i32.const 212)))
  (loop
    (call $descriptor.write (local.get $file) (i32.const 0) (i32.const 65536) (local.get $at) (i32.const 216))
    (local.set $at (i64.add (local.get $at) (i64.const 65536)))
    (br_if 0 (i32.eqz (i32.load8_u (i32.const 216)))))
  ;; what was taken has no more than the quota, and the error is `quota`
  (call $must (i64.lt_u (local.get $at) (i64.const 327681)))
  (call $must (i32.eq (i32.load8_u (i32.const 224)) (i32.const 6)))
  (call $descriptor.set-size (local.get $file) (i64.const -1) (i32.const 216))
  (call $must (i32.load8_u (i32.const 216)))
  (call $descriptor.write-via-stream (local.get $file) (i64.const 0x7fffffffffffffff) (i32.const 216))
  (call $output-stream.blocking-write-and-flush
    (i32.load (i32.const 220)) (i32.const 0) (i32.const 9) (i32.const 232))
  (call $must (i32.load8_u (i32.const 232)))
  (call $x))
