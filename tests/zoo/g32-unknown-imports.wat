;; G32: imports what is not offered; every one is told
;; refused: env.open (i32) -> (i32) is not offered; env.exec () -> () is not offered
(module
  (import "env" "open" (func (param i32) (result i32)))
  (import "env" "exec" (func))
  (func (export "handle")))
