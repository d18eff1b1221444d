"""Who may run: slots, memory, concurrency and queues."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serverless_wasm.errors import Overloaded
from serverless_wasm.limits import Limits
from serverless_wasm.wasm.admission import Admission, Gate, machine_memory


def gate(concurrency: int = 100, queue: int = 100, patience: float = 60.0, memory: int = 1) -> Gate:
    return Gate(Limits(concurrency=concurrency, queue=queue, queue_timeout=patience), memory)


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_waiting_requests_enter_in_their_order() -> None:
    """First in, first served, within one application."""

    async def main() -> list[int]:
        admission, door, order = Admission(10, 10**9), gate(concurrency=1), []

        async def visit(number: int) -> None:
            await admission.enter(door)
            order.append(number)
            await asyncio.sleep(0)
            admission.leave(door, 1)

        await asyncio.gather(*(visit(number) for number in range(20)))
        assert (0, 0, 0) == (admission.taken, admission.committed, door.running)
        return order

    assert list(range(20)) == asyncio.run(main())


def test_full_queue_and_impatience_are_overloads() -> None:
    """Each says what is full."""

    async def main() -> None:
        admission, door = Admission(10, 10**9), gate(concurrency=1, queue=1, patience=0.01)
        await admission.enter(door)
        waiting = asyncio.create_task(admission.enter(door))
        await settle()
        with pytest.raises(Overloaded, match="concurrency: 1 invocations are running, and so is the queue"):
            await admission.enter(door)
        with pytest.raises(Overloaded, match=r"concurrency: .* for 0.01 s"):
            await waiting
        admission.leave(door, 1)
        await admission.enter(door)

    asyncio.run(main())


def test_a_crowd_at_one_application_does_not_take_every_slot_that_comes_free() -> None:
    """With one slot and fifty waiting, another application's single request is next but one."""

    async def main() -> int:
        admission, crowded, quiet, served = Admission(1, 10**9), gate(), gate(), []

        async def visit(door: Gate, name: str) -> None:
            await admission.enter(door)
            served.append(name)
            await asyncio.sleep(0)
            admission.leave(door, 1)

        crowd = [asyncio.create_task(visit(crowded, "crowd")) for _ in range(50)]
        await settle()
        await visit(quiet, "quiet")
        at = served.index("quiet")
        await asyncio.gather(*crowd)
        return at

    assert asyncio.run(main()) <= 6


def test_memory_is_a_budget_of_all_together() -> None:
    """Who comes when it is spent waits until some is given back; one guest alone always fits."""

    async def main() -> None:
        admission, large = Admission(10, 100), gate(memory=60)
        await admission.enter(large)
        waiting = asyncio.create_task(admission.enter(large))
        await settle()
        assert not waiting.done()
        admission.grow(30)
        admission.leave(large, 90)
        await waiting
        admission.leave(large, 60)
        huge = gate(memory=10**6)
        await admission.enter(huge)
        admission.leave(huge, 10**6)
        assert (0, 0) == (admission.taken, admission.committed)

    asyncio.run(main())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["stay", "leave", "cancel"])), max_size=40))
def test_no_slot_is_ever_lost(visits: list[tuple[int, str]]) -> None:
    """Any mixture of visitors that stay, leave and are cancelled while they wait: all comes back."""

    async def main() -> None:
        admission, doors = Admission(3, 50), [gate(2, 5), gate(1, 2, 0.001), gate(3, 9, memory=20)]
        release = asyncio.Event()

        async def visit(door: Gate, manner: str) -> None:
            await admission.enter(door)
            try:
                if manner == "stay":
                    await release.wait()
            finally:
                admission.leave(door, door.memory)

        tasks = []
        for which, manner in visits:
            task = asyncio.create_task(visit(doors[which], manner))
            tasks.append(task)
            if len(tasks) % 3 == 0:
                await asyncio.sleep(0)
            if manner == "cancel":
                task.cancel()
        release.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end is None or isinstance(end, Overloaded | asyncio.CancelledError) for end in ends)
        assert (0, 0) == (admission.taken, admission.committed)
        assert [0, 0, 0] == [door.running for door in doors]
        assert not any(door.waiting for door in doors)

    asyncio.run(main())


def test_machine_has_memory() -> None:
    """A plausible number of bytes."""
    assert machine_memory() > 100_000_000
