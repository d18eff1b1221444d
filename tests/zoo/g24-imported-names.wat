;; G24 G32: imports whose names would forge a line; every one is told
;; refused: env.\n{"event":"x"}\x1b[2J
(module
  (import "env" "\0a{\22event\22:\22x\22}\1b[2J" (func))
  (import "env" "" (func (param i32)))
  (func (export "handle")))
