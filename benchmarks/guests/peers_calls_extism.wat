;; Extism's host calls: calls() reads a decimal n from its input, asks the host n times for the value of `greeting`,
;; and outputs the bytes that it was given altogether, as eight bytes, the lowest first.
(module
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "free" (func $free (param i64)))
  (import "extism:host/env" "length" (func $length (param i64) (result i64)))
  (import "extism:host/env" "input_length" (func $input_length (result i64)))
  (import "extism:host/env" "input_load_u8" (func $input (param i64) (result i32)))
  (import "extism:host/env" "load_u64" (func $load (param i64) (result i64)))
  (import "extism:host/env" "store_u64" (func $store (param i64 i64)))
  (import "extism:host/env" "output_set" (func $output (param i64 i64)))
  (import "extism:host/user" "get" (func $get (param i64) (result i64)))
  (memory (export "memory") 2)
  (data (i32.const 0) "greeting")

  (func $number (result i32) (local $at i64) (local $n i32)
    (block $e (loop $l
      (br_if $e (i64.ge_u (local.get $at) (call $input_length)))
      (local.set $n (i32.add (i32.mul (local.get $n) (i32.const 10))
                             (i32.sub (call $input (local.get $at)) (i32.const 48))))
      (local.set $at (i64.add (local.get $at) (i64.const 1)))
      (br $l)))
    (local.get $n))

  (func (export "calls") (result i32) (local $n i32) (local $key i64) (local $value i64) (local $sum i64)
    (local.set $n (call $number))
    (local.set $key (call $alloc (i64.const 8)))
    (call $store (local.get $key) (i64.load (i32.const 0)))
    (block $e (loop $l
      (br_if $e (i32.eqz (local.get $n)))
      (local.set $value (call $get (local.get $key)))
      (local.set $sum (i64.add (local.get $sum) (call $length (local.get $value))))
      (i64.store (i32.const 128) (call $load (local.get $value)))  ;; the others write into the guest's memory
      (i64.store (i32.const 134) (call $load (i64.add (local.get $value) (i64.const 6))))
      (call $free (local.get $value))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $l)))
    (call $store (local.get $key) (local.get $sum))
    (call $output (local.get $key) (i64.const 8))
    (i32.const 0)))
