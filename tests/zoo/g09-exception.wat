;; G9: exceptions, which are off
;; refused: is not valid
(module (tag $e) (func (export "handle") (throw $e)))
