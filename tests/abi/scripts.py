"""WASI commands as WebAssembly text: what they print, and what they do between it."""

from __future__ import annotations

FD_WRITE = (
    '(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))'
)
FD_READ = '(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))'
EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
POLL = '(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))'
ENVIRONMENT = """
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))"""
HEAD = b"Content-Type: text/plain\n\n"


def command(body: str, *texts: bytes, pages: int = 2) -> str:
    """A command that runs `body`; `(call $text_0 (i32.const 1))` writes the first text to standard output.

    Below 1024 there is room for vectors; `$write` writes bytes from a place to a descriptor, all of them;
    `$sleep` waits for so many nanoseconds; `$read` reads to a place, and returns how much.
    """
    at, data, functions = 1024, [], []
    for number, text in enumerate(texts):
        escaped = "".join(f"\\{byte:02x}" for byte in text)
        data.append(f'(data (i32.const {at}) "{escaped}")')
        functions.append(
            f"(func $text_{number} (param $fd i32)"
            f" (call $write (local.get $fd) (i32.const {at}) (i32.const {len(text)})))"
        )
        at += len(text)
    return f"""(module {FD_WRITE} {FD_READ} {EXIT} {POLL} {ENVIRONMENT}
  (memory (export "memory") {pages}) {" ".join(data)}
  (func $write (param $fd i32) (param $at i32) (param $size i32)
    (loop $more
      (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $size))
      (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
      (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
      (local.set $size (i32.sub (local.get $size) (i32.load (i32.const 8))))
      (br_if $more (local.get $size))))
  (func $read (param $at i32) (param $size i32) (result i32)
    (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $size))
    (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
    (i32.load (i32.const 8)))
  (func $sleep (param $nanoseconds i64)
    (i64.store (i32.const 16) (i64.const 7)) (i32.store8 (i32.const 24) (i32.const 0))
    (i32.store (i32.const 32) (i32.const 1)) (i64.store (i32.const 40) (local.get $nanoseconds))
    (i64.store (i32.const 48) (i64.const 0)) (i32.store16 (i32.const 56) (i32.const 0))
    (if (call $poll (i32.const 16) (i32.const 128) (i32.const 1) (i32.const 8)) (then (unreachable))))
  {" ".join(functions)}
  (func (export "_start") {body}))"""


def printing(*texts: bytes, then: str = "") -> str:
    """A command that prints the texts to standard output, and then does something."""
    calls = " ".join(f"(call $text_{number} (i32.const 1))" for number in range(len(texts)))
    return command(f"{calls} {then}", *texts, pages=4)


TELLS = command(
    """(local $at i32)
    (call $text_0 (i32.const 1))
    (drop (call $args_sizes (i32.const 0) (i32.const 12)))
    (drop (call $args (i32.const 4096) (i32.const 8192)))
    (call $write (i32.const 1) (i32.const 8192) (i32.load (i32.const 12)))
    (call $text_1 (i32.const 1))
    (drop (call $sizes (i32.const 0) (i32.const 12)))
    (drop (call $environ (i32.const 4096) (i32.const 8192)))
    (call $write (i32.const 1) (i32.const 8192) (i32.load (i32.const 12)))
    (call $text_1 (i32.const 1))
    (local.set $at (call $read (i32.const 8192) (i32.const 65536)))
    (if (local.get $at) (then (call $write (i32.const 1) (i32.const 8192) (local.get $at))))""",
    HEAD,
    b"\0\0",
)
"""Prints its arguments and its environment, a NUL behind each, and its body; NULs part the three."""
