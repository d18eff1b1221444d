;; Theirs, as a plugin of Extism: handle() puts out the fourteen bytes.
(module
  (import "extism:host/env" "alloc" (func $alloc (param i64) (result i64)))
  (import "extism:host/env" "store_u64" (func $st (param i64 i64)))
  (import "extism:host/env" "store_u8" (func $st8 (param i64 i32)))
  (import "extism:host/env" "output_set" (func $out (param i64 i64)))
  (memory (export "memory") 2)
  (data (i32.const 16) "Hello, world!\0a\00\00")
  (func (export "handle") (result i32) (local $p i64)
    (local.set $p (call $alloc (i64.const 16)))
    (call $st (local.get $p) (i64.load (i32.const 16)))
    (call $st (i64.add (local.get $p) (i64.const 8)) (i64.load (i32.const 24)))
    (call $out (local.get $p) (i64.const 14))
    (i32.const 0)))
