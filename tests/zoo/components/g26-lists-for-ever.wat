;; G26: listings without end, none of which it drops
;; expect: 500 host_limit
(func $hostile
  (call $preopens.get-directories (i32.const 200))
  (loop
    (call $descriptor.read-directory (i32.load (i32.load (i32.const 200))) (i32.const 208))
    (br 0)))
