;; G34: waits on an atomic for ever; threads are off
;; refused: is not valid
(module (memory (export "memory") 1)
  (func (export "handle")
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))
