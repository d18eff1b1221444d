;; G25: a second response
;; expect: 500 trap
(func $hostile
  (call $set (call $response)) (call $set (call $response)))
