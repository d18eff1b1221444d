"""Windows of guest memory against plain integers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Sandbox
from serverless_wasm.errors import GuestTrap
from serverless_wasm.wasm.linker import HostFunction, Kind
from serverless_wasm.wasm.memory import Memory, Window, two_windows, window

SIZE = 65_536
GUEST = """(module (import "env" "look" (func $look (param i32 i64))) (memory (export "memory") 1 2)
  (func (export "handle") (call $look (i32.const 0) (i64.const 0)))
  (func (export "grow") (call $look (i32.const 0) (i64.const 0)) (drop (memory.grow (i32.const 1)))
    (call $look (i32.const 65536) (i64.const 65536))))"""


def with_memory(sandbox: Sandbox, look: Any) -> None:
    """Calls `look` with the memory of a live guest."""

    def host(_owner: None, made: Window) -> None:
        look(made.memory)

    asyncio.run(sandbox.run(sandbox.link(GUEST, HostFunction("look", (Kind.WINDOW,), None, host))))


def test_window_is_exactly_its_bytes(sandbox: Sandbox) -> None:
    """Inside: reads and writes what it says. Outside by a byte or by 2^64: GuestTrap, nothing touched."""
    edge = st.one_of(st.integers(0, 2**32 - 1), st.integers(SIZE - 9, SIZE + 9), st.integers(0, 9))
    length = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 9), st.integers(SIZE - 9, SIZE + 9))

    def look(memory: Memory) -> None:
        everything = window(memory, 0, SIZE)

        @given(edge, length, st.binary(max_size=12))
        def check(start: int, size: int, data: bytes) -> None:
            before = everything.read()
            if start + size > SIZE:
                with pytest.raises(GuestTrap, match="memory_bounds"):
                    window(memory, start, size)
                assert before == everything.read()
                return
            found = window(memory, start, size)
            count = found.write(data)
            assert count == min(len(data), size)
            assert everything.read() == before[:start] + data[:count] + before[start + count :]
            assert found.read(5) == everything.read()[start : start + size][:5]

        check()

    with_memory(sandbox, look)


def test_two_windows_are_two(sandbox: Sandbox) -> None:
    """Either may be the one that is outside."""
    number = st.one_of(st.integers(0, 2**64 - 1), st.integers(SIZE - 9, SIZE + 9), st.integers(0, 9))

    def look(memory: Memory) -> None:
        @given(st.tuples(number, number, number, number))
        def check(places: tuple[int, int, int, int]) -> None:
            pairs = [places[:2], places[2:]]
            if any(start + size > SIZE for start, size in pairs):
                with pytest.raises(GuestTrap, match="memory_bounds"):
                    two_windows(memory, places)
                return
            assert pairs == [(made.start, made.size) for made in two_windows(memory, places)]

        check()

    with_memory(sandbox, look)


def test_memory_that_grew_is_seen(sandbox: Sandbox) -> None:
    """The size is asked for anew: the page that was added is there at once, and nothing has moved."""
    seen: list[int] = []
    look = HostFunction("look", (Kind.WINDOW,), None, lambda _owner, window: seen.append(len(window.read())))

    asyncio.run(sandbox.run(sandbox.link(GUEST, look), b"grow"))

    assert [0, SIZE] == seen


def test_guest_without_memory_cannot_pass_a_window(sandbox: Sandbox) -> None:
    """Even an empty one ends it, with the reason."""
    look = HostFunction("look", (Kind.WINDOW,), None, lambda _owner, _window: None)
    linked = sandbox.link(
        """(module (import "env" "look" (func $look (param i32 i64)))
          (func (export "handle") (call $look (i32.const 0) (i64.const 0))))""",
        look,
    )

    with pytest.raises(GuestTrap, match="no memory"):
        asyncio.run(sandbox.run(linked))


def test_a_window_of_a_guest_that_is_gone_touches_nothing(sandbox: Sandbox) -> None:
    """Another guest's memory may lie there by now: whatever kept a window past the end gets a GuestTrap."""
    kept: list[Window] = []
    look = HostFunction("look", (Kind.WINDOW,), None, lambda _owner, made: kept.append(made))

    asyncio.run(sandbox.run(sandbox.link(GUEST, look), b"grow"))

    for made in kept:
        with pytest.raises(GuestTrap, match="gone"):
            made.read()
        with pytest.raises(GuestTrap, match="gone"):
            made.write(b"x")
        with pytest.raises(GuestTrap, match="memory_bounds"):
            window(made.memory, 0, 1)
