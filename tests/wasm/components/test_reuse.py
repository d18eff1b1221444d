"""Instances that answer again: what they keep, when they are freed, whose room they take."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox import Sandbox
from serverless_wasm.abi.wasi_http.interface import function
from serverless_wasm.errors import GuestTrap, HostLimit, Overloaded
from serverless_wasm.limits import Limits
from serverless_wasm.wasm import shelf as shelves
from serverless_wasm.wasm.admission import Admission, Gate
from serverless_wasm.wasm.components.crossing import Crossing
from serverless_wasm.wasm.components.types import U32
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.shelf import Instance, Shelf
from wasm.components.rooms import BASE, Room, World, see

SHOWN = function("shown", see, ("a", U32))
COUNT = """(import "host" "shown" (func $shown (param i32))) (global $n (mut i32) (i32.const 0))
  (func (export "handle")
    (global.set $n (i32.add (global.get $n) (i32.const 1))) (call $shown (global.get $n))
    (if (i32.eq (global.get $n) (i32.const 3)) (then unreachable)))"""
ALONE, SEVERAL = (COUNT.replace("(global", f"{BASE} (global", 1),), (BASE, COUNT)


async def answer(
    room: Room, linked: LinkedModule, instance: Instance | None, limits: Limits | None = None
) -> Instance:
    """Runs it once more, or for the first time, and keeps it."""
    fiber = Fiber(room.sandbox.engine, linked.plan, None, instance)
    if instance is None:
        fiber.crossing = Crossing(fiber, World())
    else:
        fiber.crossing.serve(fiber)
    fiber.deadline = asyncio.get_running_loop().time() + 5
    fiber.budget = (limits or Limits()).host_calls
    try:
        await room.sandbox.scheduler.run(fiber)
    except BaseException:
        fiber.close()
        raise
    return fiber.keep(1)


@pytest.mark.parametrize("modules", [ALONE, SEVERAL])
def test_an_instance_goes_on_where_it_was(sandbox: Sandbox, modules: tuple[str, ...]) -> None:
    """Its globals are kept, its host calls are counted anew, and a failure ends it."""
    room = Room(sandbox)
    linked = room.link([SHOWN], *modules)

    async def main() -> list[Any]:
        instance = await answer(room, linked, None, Limits(host_calls=1))
        world: Any = instance.crossing.world  # type: ignore[attr-defined] # a Crossing
        instance = await answer(room, linked, instance, Limits(host_calls=1))
        with pytest.raises(GuestTrap, match="unreachable"):
            await answer(room, linked, instance)
        (await answer(room, linked, None)).free()
        return list(world.seen)

    assert [1, 2, 3] == asyncio.run(main())


@pytest.mark.parametrize("modules", [ALONE, SEVERAL])
def test_limits_hold_each_time(sandbox: Sandbox, modules: tuple[str, ...]) -> None:
    """Also the second time round."""
    room = Room(sandbox)
    linked = room.link([SHOWN], *modules)

    async def main() -> None:
        instance = await answer(room, linked, None)
        with pytest.raises(HostLimit):
            await answer(room, linked, instance, Limits(host_calls=0))

    asyncio.run(main())


class Freed:
    """Stands where an instance's engine and its crossing do."""

    def __init__(self) -> None:
        self.freed: list[int] = []
        self.closed = 0

    def free_guest(self, guest: Any) -> None:
        self.freed.append(guest.size)

    def close(self) -> None:
        self.closed += 1


class Own:
    """As much of a guest_t as a shelf looks at."""

    def __init__(self, size: int) -> None:
        self.size = size


def waiting(engine: Freed, size: int, since: float = 0.0) -> Instance:
    return Instance(engine=engine, own=Own(size), memory=None, crossing=engine, answered=1, since=since)


def test_the_youngest_is_taken_the_oldest_is_freed() -> None:
    """Kinds do not mix, and memory is counted."""

    async def main() -> None:
        shelf, engine = Shelf(), Freed()
        for size, kind in ((1, "a"), (2, "b"), (4, "a"), (8, "a")):
            shelf.put(kind, waiting(engine, size))
        assert (4, 15) == (shelf.count, shelf.memory)
        taken = shelf.take("a")
        assert taken is not None
        assert 8 == taken.size
        assert shelf.take("c") is None
        assert shelf.free_oldest()
        assert [1] == engine.freed
        assert (2, 6) == (shelf.count, shelf.memory)
        shelf.close()
        assert [1, 2, 4] == engine.freed
        assert 3 == engine.closed
        assert (0, 0, False) == (shelf.count, shelf.memory, shelf.free_oldest())
        assert shelf.take("a") is None

    asyncio.run(main())


def test_who_waits_too_long_is_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each after its own time, whatever came later."""
    monkeypatch.setattr(shelves, "IDLE", 0.02)

    async def main() -> None:
        shelf, engine, loop = Shelf(), Freed(), asyncio.get_running_loop()
        shelf.put("a", waiting(engine, 1, loop.time()))
        shelf.put("a", waiting(engine, 2, loop.time() + 3600))
        async with asyncio.timeout(5):
            while shelf.count > 1:  # noqa: ASYNC110 - the shelf tells nobody
                await asyncio.sleep(0.005)
        assert [1] == engine.freed
        shelf.close()

    asyncio.run(main())


def test_they_make_room() -> None:
    """For who has no slot, or no memory, without them; and no more of them than it takes."""

    async def main() -> None:
        admission, engine = Admission(3, 100), Freed()
        for _ in range(3):
            admission.shelf.put("a", waiting(engine, 20))
        assert admission.enters(Gate(Limits(), 10))
        assert 1 == len(engine.freed)
        assert admission.enters(Gate(Limits(), 60))
        assert 2 == len(engine.freed)
        assert admission.enters(Gate(Limits(), 20))
        assert 3 == len(engine.freed)
        assert not admission.enters(Gate(Limits(), 0))
        with pytest.raises(Overloaded):
            await admission.enter(Gate(Limits(queue=0), 0))

    asyncio.run(main())
