"""Guests that are made of host calls, one after the other, and what lies in their memory.

Statements of WebAssembly text come in, one for each host call; a module goes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from serverless_wasm.abi.env import FUNCTIONS
from serverless_wasm.limits import KIB, Limits

PAGE = 64 * KIB
ARENA = 64 * KIB  # guest.h: what compiled host functions may note, names, values, reasons and bodies together
NAMES = (b"x-a", b"X-B", b"Content-Length", b"transfer-encoding", b"!#$%&'*+-.^_`|~09azAZ")
NO_NAMES = (b"", b"a b", b"a:", b"a\0", b"\xe4", b"a\r\nb", b"@", b"[", b"{", b"\x7f", b"a\t")
VALUES = (b"value", b"  both \t", b"\t", b"caf\xe9", b"\x80\xff", b"in the middle")
NO_VALUES = (b"a\rb", b"\n", b"a\0b", b"\x7f", b"\x1f ", b"\x0b")
VARIABLES = {
    b"key": b"value of key",
    b"keys": b"\0\xff",
    b"kez": b"",
    b"": b"of no name",
    b"a\0b": b"of a strange name",
    b"long": bytes(range(256)) * 300,
    b"a" * ARENA: b"of the longest name",
}
KEYS = (b"key", b"keys", b"kez", b"a\0b", b"long", b"ke", b"kex", b"kfy", b"absent")
TEXTS = (*NAMES, *NO_NAMES, *VALUES, *NO_VALUES, *KEYS)
KEPT = 4096  # a page of what host functions have returned
BLANKS, LETTERS, MORE_BLANKS = 8 * KIB, 10 * KIB, 120 * KIB  # stretches of spaces, of "a", of tabs
PAGES = 3
END = PAGES * PAGE
CALLED = (
    "log", "response_set_status_line", "response_set_header", "response_set_body", "db_get",
    "request_get_path", "request_get_header", "request_get_body",
)  # fmt: skip
ALL = {function.name: function for function in FUNCTIONS}


def places() -> Iterator[tuple[int, int]]:
    """Start and size of each of the texts in the guest's memory, one after the other from 16."""
    start = 16
    for text in TEXTS:
        yield start, len(text)
        start += len(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a guest has of it."""

    declared: str = f'(memory (export "memory") {PAGES} {PAGES + 2})'
    pages: int = PAGES

    @property
    def content(self) -> str:
        """What lies in it from the beginning: the texts."""
        data = "".join(f"\\{byte:02x}" for byte in b"".join(TEXTS))
        return f'(data (i32.const 16) "{data}")' if self.pages else ""

    @property
    def prelude(self) -> str:
        """Fills the stretches, as far as there is room."""
        ends = ((BLANKS, LETTERS, 0x20), (LETTERS, MORE_BLANKS, 0x61), (MORE_BLANKS, MORE_BLANKS + KIB, 0x09))
        return "".join(
            f"(memory.fill (i32.const {start}) (i32.const {byte}) (i32.const {min(end, size) - start}))"
            for start, end, byte in ends
            if start < (size := self.pages * PAGE)
        )


USUAL = Memory()
SMALL = Memory(declared='(memory (export "memory") 1)', pages=1)
EMPTY = Memory(declared='(memory (export "memory") 0 2)', pages=0)
HIDDEN = Memory(declared=f'(memory (export "another") {PAGES})')


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A guest: what it does in `start`, in `_initialize` and in its function, and on which limits."""

    start: tuple[str, ...] = ()
    initialize: tuple[str, ...] = ()
    handle: tuple[str, ...]
    memory: Memory = USUAL
    limits: Limits = field(default_factory=Limits)

    @property
    def text(self) -> str:
        """The module; whichever function is first prepares the memory."""
        functions = {"start": self.start, "_initialize": self.initialize, "handle": self.handle}
        first = next(name for name, steps in functions.items() if steps or name == "handle")
        made = [
            f'(func ${name} {"" if name == "start" else f"""(export "{name}")"""} (local $left i32)'
            f"{self.memory.prelude if name == first else ''} {' '.join(steps)})"
            for name, steps in functions.items()
            if steps or name == "handle"
        ]
        return f"""(module {"".join(map(declare, CALLED))} {self.memory.declared} {self.memory.content}
          (global $at (mut i32) (i32.const 0))
          (func $keep (param $value i64)
            (i64.store offset={KEPT} (global.get $at) (local.get $value))
            (global.set $at (i32.and (i32.add (global.get $at) (i32.const 8)) (i32.const 4095))))
          {"".join(made)} {"(start $start)" if self.start else ""})"""


def declare(name: str) -> str:
    params, results = (" ".join(types) for types in (ALL[name].type.params, ALL[name].type.results))
    return f'(import "env" "{name}" (func ${name} (param {params}) (result {results})))'


def window(start: int, size: int) -> str:
    return f"(i32.const {start % 2**32}) (i64.const {size % 2**64})"


def of(text: bytes) -> str:
    """The window of one of the texts."""
    return window(*dict(zip(TEXTS, places(), strict=True))[text])


def status(number: int, reason: str = window(0, 0)) -> str:
    return f"(call $response_set_status_line (i32.const {number % 2**32}) {reason})"


def header(name: str, value: str) -> str:
    return f"(call $response_set_header {name} {value})"


def body(data: str) -> str:
    return f"(call $response_set_body {data})"


def keeping(name: str, arguments: str) -> str:
    return f"(call $keep (call ${name} {arguments}))"


def repeated(step: str, times: int) -> str:
    return f"""(local.set $left (i32.const {times})) (loop $again {step}
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"""


PATH = keeping("request_get_path", window(KEPT + 4000, 90))
WAIT = keeping("request_get_body", f"(i64.const 4) {window(KEPT + 4000, 90)}")
SPIN = repeated("(nop)", 4_000_000)  # more than a slice
GROW = "(drop (memory.grow (i32.const 1)))"
