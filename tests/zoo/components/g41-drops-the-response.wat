;; G41: what a response is set with is dropped
;; expect: 500 bad_response
(func $hostile
  (call $drop.response-outparam (global.get $out)))
