"""A crew of real workers, told what to do in this process; tests/processes has the rest."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from applications import HELLO
from configurations import application, configuration
from sandbox import wat
from serverless_wasm.config.configuration import Configuration
from serverless_wasm.errors import EngineError, ReloadRefused
from serverless_wasm.events import Event, WorkerLost, WorkerReplaced
from serverless_wasm.observe.sink import open_lock
from serverless_wasm.processes.channel import Report
from serverless_wasm.processes.crew import Crew, CrewSettings, slots_for
from serverless_wasm.processes.crumbs import Crumbs
from serverless_wasm.processes.process import Outfit, python
from serverless_wasm.release import Builder, Release
from serverless_wasm.server.sockets import bind
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.code import InlineCompiler


class Yard:
    """A crew that is not hired yet, and what it needs."""

    def __init__(self, folder: Path, stack: ExitStack, workers: int, **changes: Any) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.cache = Cache(folder / "cache")
        self.builder = Builder(self.cache, InlineCompiler)
        crumbs, lock = Crumbs.create(slots_for(workers)), open_lock()
        stack.callback(os.close, lock)
        bound = bind("127.0.0.1", 0)
        stack.callback(bound.close)
        outfit = Outfit(
            command=python("serverless_wasm.cli.work"),
            sockets=tuple(sock.fileno() for sock in bound.sockets),
            crumbs=crumbs.descriptor,
            lock=lock,
            cache=str(self.cache.folder),
            style="json",
            colours=False,
        )
        settings = CrewSettings(
            workers=workers,
            heartbeat=30.0,
            bound=bound,
            name_of=self.builder.name,
            build=self.builder.build,
        )
        self.crew = Crew(settings, replace(outfit, **changes), crumbs, self.events.append)

    def configured(self, *names: str, **fields: Any) -> Configuration:
        """A configuration of applications that say hello, each of bytes of its own."""
        for name in names:
            text = HELLO.replace("(module", f"(module ${name}", 1)
            (self.folder / f"{name}.wasm").write_bytes(wat(text))
        made = (application(name, file_path=self.folder / f"{name}.wasm") for name in names)
        return configuration(self.folder / "config.toml", *made, **fields)

    async def release(self, *names: str, **fields: Any) -> Release:
        """A release of such a configuration."""
        return await self.builder.build(self.configured(*names, **fields))


Job = Callable[[Yard], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., list[Event]]]:
    """Runs a job with a crew that is hired, stops that, and checks that nothing is left."""
    with ExitStack() as stack:

        def run_it(job: Job, workers: int = 2, **changes: Any) -> list[Event]:
            yard = Yard(tmp_path, stack, workers, **changes)

            async def main() -> None:
                yard.crew.hire()
                try:
                    await job(yard)
                finally:
                    await yard.crew.stop(0)
                assert not yard.crew._processes
                assert {asyncio.current_task()} == asyncio.all_tasks()

            asyncio.run(main())
            return yard.events

        yield run_it


def accept(_: Report) -> None:
    """Takes every report."""


def refuse_broken(report: Report) -> None:
    """As a reload does."""
    if report.broken:
        raise ReloadRefused(tuple(f"{name}: {reason}" for name, reason in report.broken.items()))


async def until(happened: Callable[[], bool]) -> None:
    """Gives way until it has happened."""
    async with asyncio.timeout(60):
        while not happened():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)


def test_what_one_worker_cannot_serve_is_refused_for_all(run: Any) -> None:
    """The reports of all count, not of one: else half of the requests would fail."""

    async def job(yard: Yard) -> None:
        await yard.crew.deploy(await yard.release("a"), accept)
        release = await yard.release("a", "b")
        fine, late = yard.crew._serving
        os.kill(late.pid, signal.SIGSTOP)
        deploying = asyncio.create_task(yard.crew.deploy(release, refuse_broken))
        await until(late._busy.locked)
        await until(lambda: not fine._busy.locked())  # it has loaded b, and said so
        for part in release.parts:
            assert part.artifact
            yard.cache.drop(part.artifact.digest, fuel=False)
        os.kill(late.pid, signal.SIGCONT)
        with pytest.raises(ReloadRefused, match="b: has no compiled code"):
            await deploying
        assert [fine, late] == yard.crew._serving
        report = await yard.crew.deploy(await yard.release("a", "b"), refuse_broken)
        assert {} == report.broken

    assert [] == run(job)


def test_what_is_not_accepted_changes_nothing(run: Any) -> None:
    """Whatever is raised passes, and the next release is as good as any."""

    async def job(yard: Yard) -> None:
        def refuse(report: Report) -> None:
            assert 8 == report.slots
            raise ZeroDivisionError

        await yard.crew.deploy(await yard.release("a"), accept)
        with pytest.raises(ZeroDivisionError):
            await yard.crew.deploy(await yard.release("a", "b"), refuse)
        await yard.crew.deploy(await yard.release("a", "c"), accept)

    assert [] == run(job)


def test_one_reserve_however_many_are_needed(run: Any) -> None:
    """Whoever needs one at the same time as others leaves one in reserve, not one each."""

    async def job(yard: Yard) -> None:
        await yard.crew.deploy(await yard.release("a"), accept)
        taken = await asyncio.gather(*(yard.crew._from_reserve() for _ in range(3)))
        assert yard.crew._reserve
        reserve = await yard.crew._reserve
        assert {*taken, reserve, *yard.crew._serving} == yard.crew._processes
        assert 6 == len(yard.crew._processes)

    assert [] == run(job)


def test_more_processes_than_there_is_room_for(run: Any) -> None:
    """Is a failure to start one, to be tried again; a place that comes free is used again."""

    async def job(yard: Yard) -> None:
        crew = yard.crew
        await crew.deploy(await yard.release("a"), accept)
        await until(lambda: len(crew._processes) == 3)
        more = [await crew._hired() for _ in range(slots_for(2) - 3)]
        with pytest.raises(OSError, match="temporarily unavailable"):
            await crew._hired()
        more[0].kill()
        await until(lambda: more[0] not in crew._processes)
        await crew._hired()

    assert [] == run(job)


def test_a_crew_that_cannot_be_hired(run: Any, tmp_path: Path) -> None:
    """No process starts at all: the operator reads why."""

    async def job(yard: Yard) -> None:
        with pytest.raises(EngineError, match="No such file"):
            await yard.crew.deploy(await yard.release("a"), accept)

    assert [] == run(job, command=(str(tmp_path / "nothing"),))


def test_a_crew_that_dies_at_once(run: Any) -> None:
    """Processes that start and end: the first release is refused, and nothing goes on for ever."""

    async def job(yard: Yard) -> None:
        with pytest.raises(ReloadRefused, match="the other process has gone"):
            await yard.crew.deploy(await yard.release("a"), accept)

    events = run(job, command=("false",))
    assert all(isinstance(event, WorkerLost) for event in events)


def test_a_cancelled_release_is_no_release(run: Any) -> None:
    """In the middle of preparing: the next one finds everybody as before."""

    async def job(yard: Yard) -> None:
        await yard.crew.deploy(await yard.release("a"), accept)
        release = await yard.release("a", "b")
        for _ in range(3):
            deploying = asyncio.create_task(yard.crew.deploy(release, accept))
            while not yard.crew._serving[0]._busy.locked():  # noqa: ASYNC110 - it is but for an instant
                await asyncio.sleep(0)
            deploying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await deploying
        report = await yard.crew.deploy(await yard.release("a", "c"), refuse_broken)
        assert 8 == report.slots
        assert 2 == len(yard.crew._serving)

    assert [] == run(job)


def test_a_replaced_worker_is_told_who_is_withdrawn(run: Any) -> None:
    """Before it lets the first client in: an application that kills it again would do so at once."""

    async def job(yard: Yard) -> None:
        crew = yard.crew
        await crew.deploy(await yard.release("a", "b"), accept)
        for at in range(5):
            crew.breaker.lost("a", float(at))
        lost = crew._serving[0]
        os.kill(lost.pid, signal.SIGKILL)
        await until(lambda: crew.replaced == 1)
        assert lost not in crew._serving
        assert "a: out of service, it has taken workers down" in crew.status()
        assert "workers replaced: 1" in crew.status()
        await crew.deploy(await yard.release("a", "b"), accept)
        assert not crew.breaker.withdrawn

    assert [WorkerLost, WorkerReplaced] == [type(event) for event in run(job)]
