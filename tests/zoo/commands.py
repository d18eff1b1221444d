"""Hostile guests that are WASI commands: loops, sleeps, floods, guesses and exits under the ABI `cgi`.

Nothing comes in; Guests go out, each with its card, as those of the other files.
It must never end one for its own good: what ends it is the service.
"""

from __future__ import annotations

from collections.abc import Iterator

from abi.scripts import HEAD, command
from sandbox import wat
from zoo.cards import Guest, read

_CALL = '(import "wasi_snapshot_preview1" "{}" (func ${} (param {}) (result i32)))'
_MORE = " ".join(
    _CALL.format(name, name, params)
    for name, params in {
        "clock_time_get": "i32 i64 i32",
        "fd_close": "i32",
        "fd_renumber": "i32 i32",
        "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
        "random_get": "i32 i32",
        "sched_yield": "",
    }.items()
)
_GOOD = """(drop (call $args_sizes (i32.const 0) (i32.const 12)))
  (if (i32.eq (i32.load (i32.const 0)) (i32.const 2)) (then (call $text_0 (i32.const 1)) (return)))"""
"""Only `?good` has a word for an argument."""
_OPEN = """(call $path_open (i32.const 3) (i32.const 0) (i32.const 600) (i32.const 1)
  (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 608))"""
"""The file `a` of the scratch folder, made if need be, to be read and written."""
_A = "(i32.store8 (i32.const 600) (i32.const 97))"
_SAY = "(call $text_1 (i32.const 1))"
_ZOO: dict[str, tuple[list[str], str]] = {
    "g01-command-loop": (
        ["G1: a command that never ends", 'limits: timeout = "60ms"', "expect: 504 deadline",
         "detail: busy at the deadline"],
        "(loop (br 0))",
    ),
    "g01-command-sleeps": (
        ["G1: a command that sleeps for a minute", 'limits: timeout = "60ms"', "expect: 504 deadline",
         "detail: waiting at the deadline"],
        "(call $sleep (i64.const 60000000000))",
    ),
    "g01-command-naps": (
        ["G1: a command that sleeps a millisecond, again and again", 'limits: timeout = "60ms"',
         "expect: 504 deadline"],
        "(loop (call $sleep (i64.const 1000000)) (br 0))",
    ),
    "g03-command-polls": (
        ["G3: a command that asks for events that are over", "limits: host_calls = 1000",
         "expect: 500 host_limit"],
        "(loop (call $sleep (i64.const 0)) (br 0))",
    ),
    "g03-command-polls-for-nothing": (
        ["G3: no subscription at all is no way to wait", "limits: host_calls = 1000",
         "expect: 500 host_limit"],
        "(loop (drop (call $poll (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))) (br 0))",
    ),
    "g03-command-yields": (
        ["G3: a command that gives way to nobody", "limits: host_calls = 1000", "expect: 500 host_limit"],
        "(loop (drop (call $sched_yield)) (br 0))",
    ),
    "g03-command-random": (
        ["G3: more random bytes than there may be at once", "expect: 500 host_limit", "detail: random_get"],
        "(drop (memory.grow (i32.const 30))) (drop (call $random_get (i32.const 0) (i32.const 1100000)))",
    ),
    "g14-command-vectors": (
        ["G14: a vector of vectors that is larger than the memory", "expect: 500 trap",
         "detail: memory_bounds"],
        "(drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 0x20000000) (i32.const 8)))",
    ),
    "g22-command-flood": (
        ["G22: a thousand lines of 60 KB on standard error", "expect: 200 ok", "answer: x",
         "log: 6 records, 7319 dropped"],
        f"""(local $left i32) (local.set $left (i32.const 1000))
        (loop (call $write (i32.const 2) (i32.const 8192) (i32.const 60000))
          (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        {_SAY}""",
    ),
    "g25-command-guesses": (
        ["G25: descriptors that nobody gave it", "expect: 200 ok", "answer: x"],
        f"""(local $fd i32) (local.set $fd (i32.const 4))
        (loop
          (if (i32.ne (call $fd_close (local.get $fd)) (i32.const 8)) (then (unreachable)))
          (if (i32.ne (i32.const 8)
              (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
            (then (unreachable)))
          (br_if 0 (i32.lt_u (local.tee $fd (i32.add (local.get $fd) (i32.const 1))) (i32.const 2000))))
        (if (i32.ne (call $fd_close (i32.const -1)) (i32.const 8)) (then (unreachable)))
        {_SAY}""",
    ),
    "g25-command-closes": (
        ["G25: a command that closes all it has, and then writes", "expect: 500 bad_response",
         "detail: before it began"],
        """(local $fd i32)
        (loop (drop (call $fd_close (local.get $fd)))
          (br_if 0 (i32.lt_u (local.tee $fd (i32.add (local.get $fd) (i32.const 1))) (i32.const 10))))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))""",
    ),
    "g25-command-opens": (
        ["G25: a file opened until there are no more descriptors", "expect: 200 ok", "answer: x"],
        f"""{_A} (loop (br_if 0 (i32.eqz {_OPEN})))
        (if (i32.ne {_OPEN} (i32.const 33)) (then (unreachable))) {_SAY}""",
    ),
    "g20-command-fills": (
        ["G20: a scratch folder filled until there is no more room", 'limits: scratch = "1MiB"',
         "expect: 200 ok", "answer: x"],
        f"""(local $error i32) {_A} (if {_OPEN} (then (unreachable)))
        (i32.store (i32.const 0) (i32.const 8192)) (i32.store (i32.const 4) (i32.const 65536))
        (loop
          (local.set $error
            (call $fd_write (i32.load (i32.const 608)) (i32.const 0) (i32.const 1) (i32.const 8)))
          (br_if 0 (i32.eqz (local.get $error))))
        (if (i32.ne (local.get $error) (i32.const 19)) (then (unreachable))) {_SAY}""",
    ),
    "g31-command-exits": (
        ["G31: a command that says it failed", "expect: 500 exit", "detail: exit code 7"],
        f"{_SAY} (call $exit (i32.const 7))",
    ),
    "g31-command-exits-well": (
        ["G31: a command that ends itself before its answer", "expect: 500 bad_response",
         "detail: before it began"],
        "(call $exit (i32.const 0))",
    ),
    "g38-command-clock": (
        ["G38: clocks that show whole milliseconds", "expect: 200 ok", "answer: x"],
        f"""(local $clock i32)
        (loop
          (if (call $clock_time_get (local.get $clock) (i64.const 1) (i32.const 16)) (then (unreachable)))
          (if (i64.ne (i64.rem_u (i64.load (i32.const 16)) (i64.const 1000000)) (i64.const 0))
            (then (unreachable)))
          (br_if 0 (i32.lt_u (local.tee $clock (i32.add (local.get $clock) (i32.const 1))) (i32.const 2))))
        {_SAY}""",
    ),
}  # fmt: skip


def make_commands() -> Iterator[Guest]:
    """Every guest of this file."""
    for name, (card, body) in _ZOO.items():
        local, rest = _locals(body)
        text = command(f"{local} {_GOOD} {rest}", HEAD + b"good", HEAD + b"x")
        yield read(name, card, wat(text.replace("(module ", f"(module {_MORE} ", 1)))


def _locals(body: str) -> tuple[str, str]:
    """Locals stand first."""
    local, _, rest = body.partition(")") if body.startswith("(local $") else ("", "", body)
    return (f"{local})", rest) if local else ("", body)
