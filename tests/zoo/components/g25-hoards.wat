;; G25: handles without end
;; expect: 500 host_limit
;; detail: handles
(func $hostile
  (loop (drop (call $fields.new)) (br 0)))
