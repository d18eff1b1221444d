;; G3: handles that are made and dropped
;; limits: host_calls = 1000
;; expect: 500 host_limit
(func $hostile
  (loop (call $drop.fields (call $fields.new)) (br 0)))
