;; G24: nothing to call, and names of what could be called that would forge a line
;; refused: write one of: \n{"event":"x"}\x1b[2J, \x00\u202e
(module
  (func (export "\0a{\22event\22:\22x\22}\1b[2J"))
  (func (export "\00\e2\80\ae")))
