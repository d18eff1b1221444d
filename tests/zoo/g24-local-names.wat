;; G24: names of locals, globals, tables and segments that would forge a line
;; expect: 500 trap
;; good: none, it only traps
(module
  (global $g (@name "\0a{\22event\22:\22x\22}") i32 (i32.const 0))
  (table $t (@name "\0a{\22event\22:\22x\22}") 1 funcref)
  (func (export "handle") (param) (local $l (@name "\0a{\22event\22:\22x\22}") i32)
    (drop (i32.div_u (i32.const 1) (local.get $l)))))
