;; G32: imports another contract
;; refused: imports from wasi_snapshot_preview1
(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32))) (func (export "handle")))
