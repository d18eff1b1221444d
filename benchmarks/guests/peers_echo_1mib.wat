;; Theirs: as peers_echo, with no more memory than bodies of at most 1 MiB need. V8 pays for what a memory declares:
;; with the 20 MiB that 10 MiB bodies need, node spends four times as much on an echo of 1 KiB.
(module
  (memory (export "memory") 40)
  (func (export "echo") (param $length i32) (result i32)
    (memory.copy (i32.const 1310720) (i32.const 65536) (local.get $length))
    (i32.const 1310720)))
