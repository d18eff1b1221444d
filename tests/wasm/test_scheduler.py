"""Who runs next, and what happens to those that are cancelled."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
import uvloop

from sandbox import Sandbox
from serverless_wasm.errors import DeadlineExceeded, Failed, Overloaded
from serverless_wasm.limits import Limits
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import HostFunction, Kind, Reply

SPIN = '(module (func (export "handle") (loop (br 0))))'
WAIT = """(module (import "env" "wait" (func $wait (param i32 i64) (result i64)))
  (import "env" "show" (func $show (param i64))) (memory (export "memory") 1)
  (func (export "handle") (call $show (call $wait (i32.const 16) (i64.const 5)))))"""
LOOPS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]


class Owner:
    """What the host functions below work for."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.release = asyncio.Event()
        self.shown: list[int] = []
        self.cancelled = False

    async def wait(self, window: Any) -> Reply:
        self.begun.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return Reply(5, ((window, b"hello"),))


FUNCTIONS = (
    HostFunction("wait", (Kind.WINDOW,), "i64", Owner.wait, waits=True),
    HostFunction("show", (Kind.U64,), None, lambda owner, value: owner.shown.append(value)),
)


@pytest.mark.parametrize("run", LOOPS)
def test_waiting_guests_are_suspended_together(sandbox: Sandbox, run: Any) -> None:
    """Many guests wait at once on one loop and one thread, and each gets its own answer."""
    linked = sandbox.link(WAIT, *FUNCTIONS)

    async def main() -> list[list[int]]:
        owners = [Owner() for _ in range(40)]
        tasks = [asyncio.create_task(sandbox.run(linked, owner=owner)) for owner in owners]
        for owner in owners:
            await owner.begun.wait()
        for owner in owners:
            owner.release.set()
        await asyncio.gather(*tasks)
        return [owner.shown for owner in owners]

    assert [[5]] * 40 == run(main())


@pytest.mark.parametrize("run", LOOPS)
def test_busy_guests_share_one_slice_a_turn(sandbox: Sandbox, run: Any) -> None:
    """Beside eight endless loops the event loop turns, and others are served many times over."""
    linked = sandbox.link(SPIN)
    quick = sandbox.link('(module (func (export "handle")))')

    async def main() -> int:
        busy = [asyncio.create_task(sandbox.run(linked, limits=Limits(timeout=0.3))) for _ in range(8)]
        served = 0
        while not all(task.done() for task in busy):
            await sandbox.run(quick)
            served += 1
            await asyncio.sleep(0)
        ends = await asyncio.gather(*busy, return_exceptions=True)
        assert [DeadlineExceeded] * 8 == [type(end) for end in ends]
        return served

    assert run(main()) > 30


@pytest.mark.parametrize("run", LOOPS)
def test_busy_applications_share_evenly_whatever_their_crowds(sandbox: Sandbox, run: Any) -> None:
    """One busy guest of an application gets as much of the processor as another application's twelve."""
    linked = sandbox.link(SPIN)

    async def busy(share: str) -> Fiber:
        fiber = sandbox.fiber(linked, limits=Limits(timeout=0.6))
        fiber.share = share
        try:
            with pytest.raises(DeadlineExceeded):
                await sandbox.scheduler.run(fiber)
        finally:
            fiber.close()
        return fiber

    async def main() -> tuple[float, float]:
        alone, *crowd = await asyncio.gather(busy("alone"), *(busy("crowd") for _ in range(12)))
        return alone.busy, sum(fiber.busy for fiber in crowd)

    alone, crowd = run(main())

    assert 0.2 < alone / crowd < 5  # by guests it would be a twelfth; a machine that is full gives few slices


@pytest.mark.parametrize("run", LOOPS)
def test_waits_that_are_over_at_once_are_no_way_to_keep_the_loop(sandbox: Sandbox, run: Any) -> None:
    """A loop of host functions that need not wait gives way as any other loop does."""
    linked = sandbox.link(
        """(module (import "env" "f" (func $f (result i64)))
          (func (export "handle") (loop (drop (call $f)) (br 0))))""",
        HostFunction("f", (), "i64", at_once, waits=True),
    )

    async def main() -> int:
        limits = Limits(timeout=0.3, host_calls=10**9)
        busy = [asyncio.create_task(sandbox.run(linked, limits=limits)) for _ in range(3)]
        turns = 0
        while not all(task.done() for task in busy):
            await asyncio.sleep(0)
            turns += 1
        ends = await asyncio.gather(*busy, return_exceptions=True)
        assert [DeadlineExceeded] * 3 == [type(end) for end in ends]
        return turns

    assert run(main()) > 30


async def at_once(_owner: object) -> int:
    return 0


@pytest.mark.parametrize("run", LOOPS)
def test_cancelling_a_waiting_guest_cancels_what_it_waits_for(sandbox: Sandbox, run: Any) -> None:
    """The operation ends before the store is freed, and the same module runs again."""
    linked = sandbox.link(WAIT, *FUNCTIONS)

    async def main() -> None:
        owner = Owner()
        task = asyncio.create_task(sandbox.run(linked, owner=owner))
        await owner.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert owner.cancelled
        again = Owner()
        again.release.set()
        await sandbox.run(linked, owner=again)
        assert [5] == again.shown

    run(main())


@pytest.mark.parametrize("run", LOOPS)
def test_cancelling_busy_guests_frees_them(sandbox: Sandbox, run: Any) -> None:
    """All slots of the pool can be used again after all of them were cancelled, twice."""
    linked = sandbox.link(SPIN)

    async def main() -> None:
        for _ in range(2):
            tasks = [asyncio.create_task(sandbox.run(linked)) for _ in range(sandbox.engine.slots)]
            for _ in range(5):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert {asyncio.CancelledError} == {type(end) for end in ends}

    run(main())


def test_waiting_ends_at_the_deadline(sandbox: Sandbox) -> None:
    """A host function that never ends is cancelled at the guest's deadline."""
    linked = sandbox.link(WAIT, *FUNCTIONS)

    async def main() -> None:
        owner = Owner()
        with pytest.raises(DeadlineExceeded, match="waiting"):
            await sandbox.run(linked, owner=owner, limits=Limits(timeout=0.05))
        assert owner.cancelled

    asyncio.run(main())


def test_time_out_of_the_operation_itself_is_not_the_deadline(sandbox: Sandbox) -> None:
    """An operation that raises TimeoutError by itself is a fault like any other."""

    async def impatient(_owner: object) -> Reply:
        raise TimeoutError

    linked = sandbox.link(
        '(module (import "env" "f" (func $f)) (func (export "handle") (call $f)))',
        HostFunction("f", (), None, impatient, waits=True),
    )

    with pytest.raises(TimeoutError):
        asyncio.run(sandbox.run(linked))


def test_capability_error_after_waiting_is_a_code_for_the_guest(sandbox: Sandbox) -> None:
    """The guest goes on with the code; nothing is raised."""
    shown: list[int] = []

    async def fails(_owner: object) -> Reply:
        await asyncio.sleep(0)
        raise Failed("no")

    linked = sandbox.link(
        """(module (import "env" "f" (func $f (result i64))) (import "env" "show" (func $show (param i64)))
          (func (export "handle") (call $show (call $f))))""",
        HostFunction("f", (), "i64", fails, waits=True),
        HostFunction("show", (Kind.U64,), None, lambda _owner, value: shown.append(value)),
    )

    asyncio.run(sandbox.run(linked))

    assert [2**64 - 1] == shown


@pytest.mark.usefixtures("on_path")
def test_pool_without_a_free_slot_is_overloaded_not_an_abort() -> None:
    """Even past admission, an exhausted pool is one refused invocation."""
    room = Sandbox(slots=2)
    linked = room.link(WAIT, *FUNCTIONS)

    async def main() -> None:
        owners = [Owner(), Owner()]
        tasks = [asyncio.create_task(room.run(linked, owner=owner)) for owner in owners]
        for owner in owners:
            await owner.begun.wait()
        with pytest.raises(Overloaded):
            await room.run(linked, owner=Owner())
        for owner in owners:
            owner.release.set()
        await asyncio.gather(*tasks)
        third = Owner()
        third.release.set()
        await room.run(linked, owner=third)
        assert [5] == third.shown

    asyncio.run(main())
    room.close()


def test_nothing_is_left_behind(sandbox: Sandbox) -> None:
    """Threads, descriptors and mappings are exactly what they were, after every kind of end."""
    linked, spin = sandbox.link(WAIT, *FUNCTIONS), sandbox.link(SPIN)

    async def burst() -> None:
        owners = [Owner() for _ in range(20)]
        tasks = [asyncio.create_task(sandbox.run(linked, owner=owner)) for owner in owners]
        tasks += [asyncio.create_task(sandbox.run(spin, limits=Limits(timeout=0.02))) for _ in range(5)]
        for owner in owners:
            await owner.begun.wait()
        for owner in owners[:10]:
            owner.release.set()
        for task in tasks[10:20]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def held() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    asyncio.run(burst())
    before = held()
    for _ in range(5):
        asyncio.run(burst())

    assert before == held()
