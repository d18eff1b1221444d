;; G11: a segment that ends one byte beyond the memory
;; expect: 500 trap
;; detail: out of bounds memory access
;; good: none, no instance can be made
(module (memory (export "memory") 1) (data (i32.const 65535) "no") (func (export "handle")))
