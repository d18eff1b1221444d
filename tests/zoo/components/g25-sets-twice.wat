;; G25: a second response
;; expect: 500 trap
;; early: 200
(func $hostile
  (call $set (call $response)) (call $set (call $response)))
