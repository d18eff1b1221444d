;; G41: a head, and no body was ever asked for
;; expect: 200 ok
;; answer: 
(func $hostile
  (call $set (call $response)))
