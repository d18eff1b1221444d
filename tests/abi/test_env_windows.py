"""Every window that a guest may pass to every host function, against plain integers."""

from __future__ import annotations

import asyncio
import os
from random import Random
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from applications import Host, request
from sandbox import I32, I64, wat
from serverless_wasm.abi.env import FUNCTIONS
from serverless_wasm.errors import GuestTrap, InvocationError
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Body, Headers
from serverless_wasm.wasm.capi import ffi, lib
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import HostFunction, Kind, Linker
from serverless_wasm.wasm.plan import Call, Plan, Terms

SIZE = 65_536
PATTERN = b"key" + bytes(33 + (13 * place) % 94 for place in range(SIZE - 3))  # printable, "key" in front
ANSWER = "answer"
VARIABLES = {"key": "value of key"}
GIVEN = {
    "db_get": b"value of key",
    "request_get_method": b"GET",
    "request_get_path": b"/path",
    "request_get_query": b"query",
    "request_get_header": b"header of key",
    "request_get_param": b"param of key",
    "request_get_body": b"the body",
}
REQUEST = {
    "path": "/path",
    "query": "query",
    "headers": Headers(((b"key", b"header of key"),)),
    "params": {"key": "param of key"},
}

pointers = st.one_of(
    st.integers(-(2**31), 2**31 - 1), st.integers(SIZE - 20, SIZE + 20), st.integers(0, 40), st.just(0)
)
sizes = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.integers(0, 40), st.integers(SIZE - 20, SIZE + 20), st.just(3)
)
VALUES = {
    Kind.U32: [st.integers(-(2**31), 2**31 - 1)],
    Kind.U64: [st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(0, 10))],
    Kind.WINDOW: [pointers, sizes],
}
EXAMPLES = 200
PAIRS = int(os.environ.get("WINDOW_PAIRS", "5000"))
"""Of a pointer and a size, of all functions together; a million take three minutes (THREATS S10)."""
EDGES = (0, 1, 3, SIZE - 1, SIZE, SIZE + 1, 2**31 - 1, -(2**31), -1)
WIDE_EDGES = (*EDGES, 2**32 - 1, 2**32, 2**63 - 1, -(2**63), -SIZE, SIZE - 2**32)


def escaped(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def module() -> str:
    """Every host function behind an exported function that takes the same arguments."""
    declared, wrapped = [], []
    for function in FUNCTIONS:
        kind = function.type
        params, results = f"(param {' '.join(kind.params)})", f"(result {' '.join(kind.results)})"
        declared.append(f'(import "env" "{function.name}" (func ${function.name} {params} {results}))')
        given = " ".join(f"(local.get {at})" for at in range(len(kind.params)))
        call = f"(call ${function.name} {given})"
        if kind.results == ("i32",):
            call = f"(i64.extend_i32_s {call})"
        wrapped.append(
            f'(func (export "{function.name}") {params} '
            + (f"(call $answer {call}))" if kind.results else f"{call})")
        )
    return f"""(module (import "env" "{ANSWER}" (func $answer (param i64))) {"".join(declared)}
      (memory (export "memory") 1) (data (i32.const 0) "{escaped(PATTERN)}") {"".join(wrapped)})"""


class Probe:
    """Calls host functions of a real invocation and looks at all of the guest's memory afterwards."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.answers: list[int] = []
        linker = Linker(host.sandbox.engine, host.sandbox.scheduler)
        note = HostFunction(ANSWER, (Kind.U64,), None, lambda _owner, value: self.answers.append(value))
        for function in (*FUNCTIONS, note):
            linker.define(function)
        self.linked = linker.link(host.sandbox.compiler.compile(wat(module())), Terms())

    async def call(
        self, function: HostFunction, values: tuple[int, ...]
    ) -> tuple[InvocationError | None, int | None, bytes]:
        """How the call ended, what it returned, and the memory after it."""
        given = request(**REQUEST, body=Body.of(b"the body"))
        kinds = [I32 if name == "i32" else I64 for name in function.type.params]
        call = Call(function.name.encode(), tuple(zip(kinds, values, strict=True)))
        invocation = self.host.invocation(given, VARIABLES, Limits())
        terms = Terms(calls=(call,), variables=invocation.grants.variables)
        fiber = Fiber(
            self.host.sandbox.engine, Plan(self.host.sandbox.engine, self.linked.recipe, terms), invocation
        )
        fiber.deadline = float("inf")
        ended = None
        self.answers.clear()
        try:
            await self.host.sandbox.scheduler.run(fiber)
        except InvocationError as error:
            ended = error
        try:
            return ended, next(iter(self.answers), None), memory_of(fiber)
        finally:
            fiber.close()


def memory_of(fiber: Fiber) -> bytes:
    """All of the memory, past every check of ours; as it began if no window was ever made."""
    if not fiber.own.has_memory:
        return PATTERN
    memory = ffi.addressof(fiber.own, "memory", "of", "memory")
    return bytes(ffi.buffer(lib.wasmtime_memory_data(fiber.own.context, memory), SIZE))


def windows_of(function: HostFunction, values: tuple[int, ...]) -> list[tuple[int, int]]:
    """Start and size of each window among the values, as plain unsigned integers."""
    found, at = [], 0
    for kind in function.params:
        if kind is Kind.WINDOW:
            found.append((values[at] % 2**32, values[at + 1] % 2**64))
        at += len(kind.core)
    return found


def expected_write(function: HostFunction, values: tuple[int, ...]) -> tuple[int | None, bytes]:
    """What plain integers say a successful call returns (None: not said here), and what it writes."""
    windows = windows_of(function, values)
    if function.name == "request_get_body":
        whole = GIVEN[function.name]
        return len(whole), whole[values[0] % 2**64 :]
    if function.name in GIVEN:
        keyed = len(windows) == 2
        start, size = windows[0]
        if keyed and PATTERN[start : start + size].lower() != b"key":
            return 2**64 - 1, b""
        if function.name == "db_get" and PATTERN[start : start + size] != b"key":
            return 2**64 - 1, b""
        return len(GIVEN[function.name]), GIVEN[function.name]
    return None, b""


async def checked(probe: Probe, function: HostFunction, values: tuple[int, ...]) -> None:
    """One call: it ended, returned and wrote what plain integers say."""
    ended, answer, memory = await probe.call(function, values)
    windows = windows_of(function, values)
    if any(start + size > SIZE for start, size in windows):
        assert isinstance(ended, GuestTrap)
        assert "memory_bounds" in str(ended)
        assert memory == PATTERN
        return
    assert not isinstance(ended, GuestTrap)
    returned, written = expected_write(function, values)
    start, size = windows[-1] if windows else (0, 0)
    if function.name == "random_get":
        written = memory[start : start + size]
    written = written[:size]
    assert memory == PATTERN[:start] + written + PATTERN[start + len(written) :]
    assert returned is None or answer == returned


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_windows_are_what_plain_integers_say(host: Host, function: HostFunction) -> None:
    """A window outside the memory ends the guest; inside, exactly the promised bytes change."""
    probe = Probe(host)
    shape = st.tuples(*(strategy for kind in function.params for strategy in VALUES[kind]))

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(shape)
    def check(values: tuple[int, ...]) -> None:
        asyncio.run(checked(probe, function, values))

    check()


def drawn(random: Random, bits: int) -> int:
    """A signed number of so many bits: anything, an edge, or a place in the memory or near its end."""
    anything = random.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    edge = random.choice(EDGES if bits == 32 else WIDE_EDGES)
    return random.choice((anything, edge, SIZE + random.randrange(-20, 20), random.randrange(SIZE), 3))


def test_windows_by_the_million(host: Host, seed: int) -> None:
    """The same for as many as told: `WINDOW_PAIRS=1000000 scripts/test -s --timeout 0 -k million`."""
    probe = Probe(host)
    functions = [function for function in FUNCTIONS if Kind.WINDOW in function.params]

    async def main() -> None:
        random, pairs = Random(seed), 0  # noqa: S311 - a seed that can be told again
        while pairs < PAIRS:
            for function in functions:
                values = tuple(drawn(random, 32 if name == "i32" else 64) for name in function.type.params)
                pairs += len(windows_of(function, values))
                try:
                    await checked(probe, function, values)
                except AssertionError as error:
                    error.add_note(f"seed {seed}: {function.name}{values}")
                    raise

    began = perf_counter()
    asyncio.run(main())
    print(f"seed {seed}: {PAIRS} pairs in {perf_counter() - began:.0f} s")  # noqa: T201 - pytest -s shows it
