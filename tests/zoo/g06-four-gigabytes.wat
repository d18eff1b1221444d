;; G6: states more memory than the application may have
;; refused: memory starts at 4294967296 bytes, beyond the application's limit of 67108864
(module (memory (export "memory") 65536) (func (export "handle")))
