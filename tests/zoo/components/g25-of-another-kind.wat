;; G25: its request is no pollable
;; expect: 500 trap
;; detail: not wasi:io/poll/pollable
(func $hostile
  (drop (call $pollable.ready (global.get $request))))
