;; G24 G32: an import from a module whose name would forge a line
;; refused: imports from \n{"event":"x"}\x1b[2J
(module (import "\0a{\22event\22:\22x\22}\1b[2J" "f" (func)) (func (export "handle")))
