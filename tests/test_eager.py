"""A coroutine that begins at once cannot tell that it is no task yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop

from serverless_wasm.eager import Eager

LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]
Begun = tuple[Eager, "asyncio.Task[None] | None"]


async def begun(coroutine: Coroutine[Any, Any, None]) -> Begun:
    """Begins it from a callback of the loop."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[Begun] = loop.create_future()

    def begin() -> None:
        eager = Eager(loop)
        try:
            told.set_result((eager, eager.begin(coroutine)))
        except BaseException as error:
            told.set_exception(error)

    loop.call_soon(begin)
    return await told


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a coroutine on each kind of loop."""

    def run_on(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run_on


Run = Callable[[Coroutine[Any, Any, None]], None]


def test_what_need_not_wait_is_over_without_a_task(run: Run) -> None:
    """And nobody is the current task afterwards."""
    seen: list[object] = []

    async def work() -> None:
        seen.append(asyncio.current_task())

    async def main() -> None:
        eager, task = await begun(work())
        assert task is None
        assert [eager] == seen
        assert asyncio.current_task() in asyncio.all_tasks()

    run(main())


def test_what_has_to_wait_goes_on_in_a_task(run: Run) -> None:
    """From where it is, with what it waited for, on futures and on bare turns of the loop."""
    said: list[object] = []

    async def main() -> None:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            said.append("began")
            await asyncio.sleep(0)
            said.append(await answer)
            said.append(asyncio.current_task())

        _, task = await begun(work())
        assert task is not None
        assert ["began"] == said
        answer.set_result(7)
        await task
        assert ["began", 7, task] == said

    run(main())


async def by_timeout() -> None:
    async with asyncio.timeout(0.01):
        await asyncio.get_running_loop().create_future()


async def by_wait_for() -> None:
    await asyncio.wait_for(asyncio.get_running_loop().create_future(), 0.01)


async def by_group() -> None:
    async def fail() -> None:
        raise TimeoutError

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            await asyncio.get_running_loop().create_future()
    except* TimeoutError:
        raise TimeoutError from None


@pytest.mark.parametrize("wait", [by_timeout, by_wait_for, by_group])
def test_timeouts_and_groups_from_the_first_step(run: Run, wait: Callable[[], Awaitable[None]]) -> None:
    """They cancel what has become a task meanwhile, and know that it was they; nothing is cancelled after."""
    ends: list[str] = []

    async def work() -> None:
        with pytest.raises(TimeoutError):
            await wait()
        await asyncio.sleep(0)
        ends.append("went on")

    async def main() -> None:
        _, task = await begun(work())
        assert task is not None
        await task
        assert 0 == task.cancelling()

    run(main())
    assert ["went on"] == ends


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_cancelled_at_any_moment(run: Run, turns: int) -> None:
    """Even before its task has had a turn, it hears of it where it waits; what it waits for is cancelled."""
    seen: list[object] = []

    async def main() -> None:
        waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def work() -> None:
            try:
                await waited
            except asyncio.CancelledError:
                seen.append(waited.cancelled())
                raise

        _, task = await begun(work())
        assert task is not None
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert [True] == seen


def test_cancelled_by_itself_before_it_is_a_task(run: Run) -> None:
    """It is when it waits; taken back before, it is not."""
    ends: list[str] = []

    async def work(*, relents: bool) -> None:
        task: Any = asyncio.current_task()
        task.cancel()
        assert 1 == task.cancelling()
        if relents:
            assert 0 == task.uncancel()
        try:
            await asyncio.sleep(0)
            ends.append("went on")
        except asyncio.CancelledError:
            ends.append("cancelled")

    async def main() -> None:
        for relents in (False, True):
            _, task = await begun(work(relents=relents))
            assert task is not None
            await task

    run(main())
    assert ["cancelled", "went on"] == ends


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, KeyboardInterrupt])
def test_what_it_raises_at_once_is_raised(run: Run, error: type[BaseException]) -> None:
    """To whoever begins it, and nobody is left as the current task."""

    async def work() -> None:
        raise error

    async def main() -> None:
        with pytest.raises(error):
            await begun(work())
        assert asyncio.current_task() in asyncio.all_tasks()

    run(main())
