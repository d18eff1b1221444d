;; G24: the module's own name and a custom section that would forge a line
;; expect: 500 trap
;; detail: unreachable
;; good: none, it only traps
(module $m (@name "\0a{\22event\22:\22x\22}\1b[2J")
  (@custom "\0a{\22event\22:\22x\22}" "\0a{\22event\22:\22x\22}")
  (func (export "handle") unreachable))
