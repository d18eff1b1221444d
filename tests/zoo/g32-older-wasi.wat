;; G32: imports another contract
;; refused: imports from wasi_unstable
(module (import "wasi_unstable" "proc_exit" (func (param i32))) (func (export "handle")))
