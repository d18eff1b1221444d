;; G11: an element segment beyond the table
;; expect: 500 trap
;; detail: undefined element: out of bounds table access
;; good: none, no instance can be made
(module (table 1 funcref) (elem (i32.const 1) $f) (func $f) (func (export "handle")))
