"""The applications of a soak: sixteen that misbehave, taken from the zoo, and four that must not notice.

Nothing comes in; modules, the tables of a configuration, and what the good ones must answer go out.
It must never be lenient: a good answer is right to the byte or wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from zoo.cards import read_all

DEADLINE_MS = 100
_BUSY = f'timeout = "{DEADLINE_MS}ms"'
HOSTILE = {
    "g01-loop": _BUSY,
    "g01-loop-behind-a-response": _BUSY,
    "g02-start-loop": _BUSY,
    "g03-log-loop": "host_calls = 5000",
    "g03-lookup-loop": f"host_calls = 1000000000, {_BUSY}",
    "g03-waits-for-nothing-refused-connections": f"host_calls = 5000, {_BUSY}",
    "g05-grow": 'memory = "16MiB"',
    "g07-fill": _BUSY,
    "g10-recursion-with-host-calls": "log_lines = 0",
    "g19-many-headers": "",
    "g20-many-bodies": 'response_body = "1MiB"',
    "g23-forged-record": "",
    "g25-guesses": "",
    "g26-never-closes": "",
    "g30-silence": _BUSY,
    "g31-divides-by-zero": "",
}
"""Guests of the zoo, and their limits here."""
ABOUT = {
    "g01-loop": "a loop", "g01-loop-behind-a-response": "a loop behind a response",
    "g02-start-loop": "a loop in start", "g03-log-loop": "log flood", "g03-lookup-loop": "loop of host calls",
    "g03-waits-for-nothing-refused-connections": "refused connections", "g05-grow": "grow bomb",
    "g07-fill": "memory.fill", "g10-recursion-with-host-calls": "recursion",
    "g19-many-headers": "header flood", "g20-many-bodies": "body flood",
    "g23-forged-record": "forged records",
    "g25-guesses": "fd guessing", "g26-never-closes": "never closes", "g30-silence": "slow backend",
    "g31-divides-by-zero": "trap storm",
}  # fmt: skip

_HELLO = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1) (data (i32.const 0) "hello, world")
  (func (export "handle") (call $body (i32.const 0) (i64.const 12))))"""
_ECHO = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))
  (memory (export "memory") 2)
  (func (export "handle")
    (call $body (i32.const 0) (call $text (i64.const 0) (i32.const 0) (i64.const 131072)))))"""
_STORE = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_write" (func $write (param i32 i32 i64) (result i64)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (memory (export "memory") 1) (data (i32.const 0) "store") (data (i32.const 1024) "GET ")
  (func (export "handle") (local $fd i32) (local $size i64)
    (local.set $size (call $text (i64.const 0) (i32.const 1028) (i64.const 100)))
    (i32.store16 (i32.add (i32.const 1028) (i32.wrap_i64 (local.get $size))) (i32.const 0x0a0d))
    (local.set $fd (call $connect (i32.const 64)
      (call $get (i32.const 0) (i64.const 5) (i32.const 64) (i64.const 64))))
    (drop (call $write (local.get $fd) (i32.const 1024) (i64.add (local.get $size) (i64.const 6))))
    (call $body (i32.const 2048) (call $read (local.get $fd) (i32.const 2048) (i64.const 1000)))))"""
_COMPUTE = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "handle") (local $left i32) (local $value i64)
    (drop (call $text (i64.const 0) (i32.const 0) (i64.const 8)))
    (local.set $value (i64.load (i32.const 0)))
    (local.set $left (i32.const 100000))
    (loop
      (local.set $value (i64.add (i64.mul (local.get $value) (i64.const 6364136223846793005)) (i64.const 1)))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.store (i32.const 0) (local.get $value))
    (call $body (i32.const 0) (i64.const 8))))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """A good application: its module, a request body, and the answer that is right for it."""

    module: str
    question: Callable[[Random], bytes]
    answer: Callable[[bytes], bytes]


def _computed(seed: bytes) -> bytes:
    """A hundred thousand steps of the generator at once: x -> ax + 1, by squaring."""
    value, factor, addend, steps = int.from_bytes(seed, "little"), 6364136223846793005, 1, 100_000
    while steps:
        if steps & 1:
            value = (value * factor + addend) % 2**64
        addend = (factor + 1) * addend % 2**64
        factor = factor * factor % 2**64
        steps >>= 1
    return value.to_bytes(8, "little")


GOOD = {
    "hello": Good(module=_HELLO, question=lambda _: b"", answer=lambda _: b"hello, world"),
    "echo": Good(
        module=_ECHO,
        question=lambda random: random.randbytes(random.randrange(65_536)),
        answer=bytes,
    ),
    "store": Good(
        module=_STORE,
        question=lambda random: b"key-%d" % random.randrange(10**9),
        answer=lambda key: b"+value of " + key,
    ),
    "compute": Good(module=_COMPUTE, question=lambda random: random.randbytes(8), answer=_computed),
}


def modules() -> dict[str, bytes | str]:
    """Every module, by the name of its application."""
    zoo = {guest.name: guest.module for guest in read_all()}
    return {**{name: zoo[name] for name in HOSTILE}, **{name: good.module for name, good in GOOD.items()}}


def tables(backends: dict[str, str]) -> str:
    """The configuration's tables; every application has a secret of its own."""
    limits = {**HOSTILE, **dict.fromkeys(GOOD, "")}
    env = ", ".join(f'{name} = "{address}"' for name, address in backends.items())
    return "\n".join(
        f'[[applications]]\nname = "{name}"\nfile_path = "{name}.wasm"\nurl_path = "/{name}"\n'
        f'env = {{ {env}, secret = "canary-{name}" }}\nlimits = {{ {limits[name]} }}'
        for name in limits
    )
