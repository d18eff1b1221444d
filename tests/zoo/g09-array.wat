;; G9: an array of the garbage collector's, which is off
;; refused: is not valid
(module (type $a (array (mut i8)))
  (func (export "handle") (loop (drop (array.new $a (i32.const 0) (i32.const 1000000))) (br 0))))
