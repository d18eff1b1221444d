;; G9: a structure of the garbage collector's, which is off
;; refused: is not valid
(module (type $s (struct (field i32))) (func (export "handle") (drop (struct.new $s (i32.const 1)))))
