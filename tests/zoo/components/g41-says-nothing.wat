;; G41: no response at all
;; expect: 500 bad_response
(func $hostile)
