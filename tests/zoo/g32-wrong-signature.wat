;; G32: imports a host function with another type: the size of 32 bits that a compiler would choose
;; refused: env.log (i32 i32) -> () must be imported as (i32 i64) -> ()
(module (import "env" "log" (func (param i32 i32))) (func (export "handle")))
