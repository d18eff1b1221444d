;; G32: imports a host function as a global
;; refused: env.log global must be imported as (i32 i64) -> ()
(module (import "env" "log" (global i32)) (func (export "handle")))
