;; The peers' neighbour: what bad_loop, bad_bomb and bad_trap do, and room at 65536 for bad_upload's body.
(module
  (memory (export "memory") 20 4096)
  (func (export "loop") (loop $l (br $l)))
  (func (export "bomb") (result i32) (local $page i32)
    (loop $l
      (local.set $page (memory.grow (i32.const 1)))
      (if (i32.ne (local.get $page) (i32.const -1))
        (then
          (i32.store (i32.shl (local.get $page) (i32.const 16)) (i32.const 1))
          (br $l))))
    (memory.size))
  (func (export "trap") (unreachable)))
