"""A guest from its start to each of its ends."""

from __future__ import annotations

import asyncio
import gc

import pytest
import wasmtime

from sandbox import Sandbox
from serverless_wasm.errors import (
    CpuExceeded,
    DeadlineExceeded,
    FuelExhausted,
    GuestTrap,
    HostLimit,
    InvocationError,
    MemoryExceeded,
    StackExhausted,
)
from serverless_wasm.limits import MIB, Limits
from serverless_wasm.wasm.fiber import TRAP_ERRORS, Fiber
from serverless_wasm.wasm.linker import HostFunction, Kind
from serverless_wasm.wasm.plan import Call, Plan, Terms

TOUCH = HostFunction("touch", (Kind.WINDOW,), None, lambda _owner, _window: None)
ENDINGS = {
    "unreachable": ("unreachable", GuestTrap, "unreachable"),
    "division": ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", GuestTrap, "divide by zero"),
    "load out of bounds": ("(drop (i32.load (i32.const -1)))", GuestTrap, "out of bounds memory access"),
    "endless recursion": ("(call $handle)", StackExhausted, "call stack exhausted"),
    "endless loop": ("(loop (br 0))", DeadlineExceeded, "busy at the deadline"),
    "window out of bounds": ("(call $touch (i32.const 65536) (i64.const 1))", GuestTrap, "memory_bounds"),
    "window of 2^64-1": ("(call $touch (i32.const 1) (i64.const -1))", GuestTrap, "memory_bounds"),
    "too many host calls": (
        "(loop (call $touch (i32.const 0) (i64.const 0)) (br 0))",
        HostLimit,
        "host_calls: more than 1000",
    ),
}


def module(body: str) -> str:
    return f"""(module (import "env" "touch" (func $touch (param i32 i64))) (memory (export "memory") 1)
      (func $handle (export "handle") {body}))"""


@pytest.mark.parametrize(("body", "error", "text"), ENDINGS.values(), ids=ENDINGS)
def test_each_bad_end_is_one_error(
    sandbox: Sandbox, body: str, error: type[InvocationError], text: str
) -> None:
    """A guest's end has its own error with a printable reason, and the next guest runs."""
    linked = sandbox.link(module(body), TOUCH)
    limits = Limits(timeout=0.1, host_calls=1000)

    with pytest.raises(error, match=text) as caught:
        asyncio.run(sandbox.run(linked, limits=limits))

    assert str(caught.value).isprintable()
    asyncio.run(sandbox.run(sandbox.link(module(""), TOUCH)))


def test_processor_time_is_limited_and_waiting_is_free(sandbox: Sandbox) -> None:
    """A busy guest ends once it has used its share; one that waits ten times as long does not."""
    spin = sandbox.link('(module (func (export "handle") (loop (br 0))))')

    async def pause(_owner: object) -> int:
        await asyncio.sleep(0.2)
        return 0

    wait = sandbox.link(
        '(module (import "env" "f" (func $f (result i64))) (func (export "handle") (drop (call $f))))',
        HostFunction("f", (), "i64", pause, waits=True),
    )

    with pytest.raises(CpuExceeded, match=r"cpu: more than 0\.02 s"):
        asyncio.run(sandbox.run(spin, limits=Limits(cpu=0.02)))
    fiber = asyncio.run(sandbox.run(wait, limits=Limits(cpu=0.02)))

    assert fiber.busy < 0.02


def test_what_was_begun_when_the_processor_time_ended_is_ended_too(sandbox: Sandbox) -> None:
    """A guest over its share that calls a waiting host function leaves no operation behind."""
    begun: list[object] = []

    async def pause() -> int:
        begun.append("ran")
        return 0

    linked = sandbox.link(
        """(module (import "env" "f" (func $f (result i64))) (func (export "handle") (local $n i32)
          (loop (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $n) (i32.const 100000)))) (drop (call $f))))""",
        HostFunction("f", (), "i64", lambda _owner: pause(), waits=True),
    )

    with pytest.raises(CpuExceeded):
        asyncio.run(sandbox.run(linked, limits=Limits(cpu=0.000_001)))

    gc.collect()  # a coroutine that was never awaited would warn now, and warnings are errors
    assert [] == begun


@pytest.mark.usefixtures("on_path")
def test_fuel_is_the_same_every_time() -> None:
    """Instructions are counted exactly: one less than needed ends the guest, wherever the clock stands."""
    room = Sandbox(slots=4, fuel=True)
    linked = room.link(
        """(module (func (export "handle") (local $n i32)
          (loop (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $n) (i32.const 1000))))))"""
    )

    def enough(fuel: int) -> bool:
        try:
            asyncio.run(room.run(linked, limits=Limits(fuel=fuel)))
        except FuelExhausted:
            return False
        return True

    needed = next(fuel for fuel in range(1000, 20_000) if enough(fuel))
    for _ in range(3):
        assert enough(needed)
        assert not enough(needed - 1)
    asyncio.run(room.run(linked))
    room.close()


def test_loop_in_start_ends_at_the_deadline(sandbox: Sandbox) -> None:
    """The deadline holds before the instance exists."""
    linked = sandbox.link('(module (func $loop (loop (br 0))) (start $loop) (func (export "handle")))')

    with pytest.raises(DeadlineExceeded):
        asyncio.run(sandbox.run(linked, limits=Limits(timeout=0.05)))


def test_host_function_called_from_start_sees_the_memory(sandbox: Sandbox) -> None:
    """Memory is found through the caller, as there is no instance to ask yet."""
    seen: list[bytes] = []
    show = HostFunction("show", (Kind.WINDOW,), None, lambda _owner, window: seen.append(window.read()))
    linked = sandbox.link(
        """(module (import "env" "show" (func $show (param i32 i64))) (memory (export "memory") 1)
          (data (i32.const 8) "early") (func $start (call $show (i32.const 8) (i64.const 5)))
          (start $start) (func (export "handle")))""",
        show,
    )

    asyncio.run(sandbox.run(linked))

    assert [b"early"] == seen


def test_memory_stops_growing_at_the_limit(sandbox: Sandbox) -> None:
    """memory.grow answers -1 at the limit, and the peak is what was reached."""
    linked = sandbox.link(
        """(module (import "env" "touch" (func $touch (param i32 i64))) (memory (export "memory") 1)
          (func (export "handle") (call $touch (i32.const 0) (i64.const 0))
            (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
            (call $touch (i32.const 0) (i64.const 2097152))))""",
        TOUCH,
    )
    peaks: list[int] = []

    async def main() -> None:
        fiber = sandbox.fiber(linked, limits=Limits(memory=2 * MIB))
        await sandbox.scheduler.run(fiber)
        peaks.append(fiber.memory_size())
        fiber.close()

    asyncio.run(main())

    assert [2 * MIB] == peaks


@pytest.mark.parametrize(
    ("declared", "limits"),
    [("(memory 3)", Limits(memory=65_536)), ("(table 500 funcref)", Limits(table_elements=100))],
)
def test_what_a_guest_starts_with_is_limited_too(sandbox: Sandbox, declared: str, limits: Limits) -> None:
    """A memory or table that begins beyond its limit never comes to life."""
    linked = sandbox.link(f'(module {declared} (func (export "handle")))')

    with pytest.raises(MemoryExceeded):
        asyncio.run(sandbox.run(linked, limits=limits))


def test_each_invocation_has_fresh_memory(sandbox: Sandbox) -> None:
    """What one guest wrote, globals included, the next does not find."""
    seen: list[bytes] = []
    show = HostFunction("show", (Kind.WINDOW,), None, lambda _owner, window: seen.append(window.read()))
    linked = sandbox.link(
        """(module (import "env" "show" (func $show (param i32 i64))) (memory (export "memory") 1)
          (global $count (mut i32) (i32.const 48))
          (func (export "handle") (global.set $count (i32.add (global.get $count) (i32.const 1)))
            (i32.store8 (i32.const 9) (i32.add (i32.load8_u (i32.const 9)) (global.get $count)))
            (call $show (i32.const 9) (i64.const 1))))""",
        show,
    )

    async def main() -> None:
        for _ in range(3):
            await sandbox.run(linked)

    asyncio.run(main())

    assert [b"1", b"1", b"1"] == seen


def test_exception_of_a_host_function_ends_only_its_guest(sandbox: Sandbox) -> None:
    """Whatever a host function raises comes out of its own call, and of no other."""
    failures: list[type[BaseException]] = [
        ValueError, MemoryError, RecursionError, SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration,
    ]  # fmt: skip

    def explode(owner: type[BaseException] | None) -> None:
        if owner is not None:
            raise owner

    linked = sandbox.link(
        '(module (import "env" "explode" (func $f)) (func (export "handle") (call $f)))',
        HostFunction("explode", (), None, explode),
    )

    async def main() -> list[object]:
        ends: list[object] = []
        for failure in failures:
            try:
                await sandbox.run(linked, owner=failure)
            except BaseException as error:
                ends.append(type(error))
            await sandbox.run(linked)
        return ends

    ends = asyncio.run(main())

    expected = [RuntimeError if failure is StopIteration else failure for failure in failures]
    assert expected == ends


def test_answer_that_does_not_fit_ends_the_guest(sandbox: Sandbox) -> None:
    """What a host function waited for is no number: the guest is told nothing more, nor called again."""
    shown: list[int] = []

    async def misfit(_owner: object) -> str:
        return "no number"

    linked = sandbox.link(
        """(module (import "env" "f" (func $f (result i64))) (import "env" "show" (func $show (param i64)))
          (func (export "first") (drop (call $f))) (func (export "second") (call $show (i64.const 2))))""",
        HostFunction("f", (), "i64", misfit, waits=True),
        HostFunction("show", (Kind.U64,), None, lambda _owner, value: shown.append(value)),
    )
    terms = Terms(calls=(Call(b"first"), Call(b"second")))

    async def main() -> None:
        fiber = Fiber(sandbox.engine, Plan(sandbox.engine, linked.recipe, terms), None)
        fiber.deadline = float("inf")
        try:
            await sandbox.scheduler.run(fiber)
        finally:
            fiber.close()

    with pytest.raises(TypeError):
        asyncio.run(main())

    assert [] == shown


def test_calling_what_is_not_there_is_an_error_not_a_crash(sandbox: Sandbox) -> None:
    """The name is printed escaped."""
    linked = sandbox.link('(module (memory (export "m") 1) (func (export "handle")))')

    for name in (b"nothing\x1b[2J", b"m"):
        with pytest.raises(GuestTrap, match="no exported function") as caught:
            asyncio.run(sandbox.run(linked, name))
        assert str(caught.value).isprintable()


def test_every_trap_code_of_the_wheel_has_an_outcome() -> None:
    """The codes that are not plain traps are exactly these three."""
    special = {code.name for code in wasmtime.TrapCode if code.value in TRAP_ERRORS}

    assert {"STACK_OVERFLOW", "INTERRUPT", "OUT_OF_FUEL"} == special
