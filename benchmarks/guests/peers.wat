;; Theirs: no imports. handle() returns pointer << 32 | length of the body, work(n) n rounds of xorshift32.
(module
  (memory (export "memory") 2)
  (data (i32.const 16) "Hello, world!\0a")
  (func (export "handle") (result i64)
    (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 14)))
  (func (export "work") (param $n i32) (result i32)
    (local $state i32)
    (local.set $state (i32.const 2463534242))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $state (i32.xor (local.get $state) (i32.shl (local.get $state) (i32.const 13))))
        (local.set $state (i32.xor (local.get $state) (i32.shr_u (local.get $state) (i32.const 17))))
        (local.set $state (i32.xor (local.get $state) (i32.shl (local.get $state) (i32.const 5))))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (local.get $state)))
