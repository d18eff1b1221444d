"""The workers of a service: as many as were asked for, one in reserve, and another for each that is lost.

Releases come in; every worker serves the same one, whatever happens to any of them.
It must never start a worker again and again without a pause, nor blame an application for another's deed.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from serverless_wasm.config.configuration import Configuration
from serverless_wasm.config.shares import share
from serverless_wasm.errors import EngineError, ReloadRefused
from serverless_wasm.events import (
    ApplicationBroken,
    ApplicationWithdrawn,
    Emit,
    Notice,
    WorkerLost,
    WorkerReplaced,
)
from serverless_wasm.processes.breaker import LOSSES, WINDOW, Breaker
from serverless_wasm.processes.channel import Commit, Discard, Order, Prepare, Report, Stop, Withdraw
from serverless_wasm.processes.crumbs import Crumbs, Trace
from serverless_wasm.processes.process import Outfit, WorkerGone, WorkerProcess
from serverless_wasm.processes.reloader import Accept
from serverless_wasm.release import Release
from serverless_wasm.server.sockets import Bound

LOOK = 0.1
"""Seconds between two looks at the workers' signs of life."""
PAUSES = (0.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0)
"""Seconds before another worker takes over, by how many were lost within `breaker.WINDOW`."""
GRACE = 3.0
"""Seconds beyond the drain that a worker has to end."""
PATIENCE = 10.0
"""Seconds that a release waits for a worker when none is there: twice the longest pause."""


def slots_for(workers: int) -> int:
    """How many processes there may be at once, those that are just ending included."""
    return 2 * workers + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewSettings:
    """How many workers, how long they may be silent, and what they are told of the service."""

    workers: int
    heartbeat: float
    bound: Bound
    """Where clients are accepted; closed when the crew stops."""
    name_of: Callable[[int], str]
    """The application of a number in a crumb, or empty."""
    build: Callable[[Configuration], Awaitable[object]]
    """Compiles again what is missing in the cache, which somebody may have cleared."""


class Crew:
    """Runs workers from `hire` to `stop`."""

    def __init__(self, settings: CrewSettings, outfit: Outfit, crumbs: Crumbs, emit: Emit) -> None:
        self.replaced = 0
        self.breaker = Breaker()
        self._settings = settings
        self._outfit = outfit
        self._crumbs = crumbs
        self._emit = emit
        self._serving: list[WorkerProcess] = []
        self._processes: set[WorkerProcess] = set()
        self._early: list[asyncio.Task[WorkerProcess]] = []
        self._reserve: asyncio.Task[WorkerProcess] | None = None
        self._slots = list(range(slots_for(settings.workers)))
        self._deploying = asyncio.Lock()
        self._release: Release | None = None
        self._broken: frozenset[str] = frozenset()
        self._stopping = False
        self._losses: list[float] = []
        self._tasks: set[asyncio.Task[None]] = set()

    # Releases.

    def hire(self) -> None:
        """Starts every process, so that they are awake by the time there is something to serve."""
        self._early = [asyncio.create_task(self._hired()) for _ in range(self._settings.workers)]
        self._reserve = asyncio.create_task(self._hired())

    async def deploy(self, release: Release, accept: Accept) -> Report:
        """Has every worker serve the release; if ReloadRefused, or what `accept` raises, all is as before.

        Raises EngineError when the first workers cannot be started.
        """
        await self._somebody()
        async with self._deploying:
            if self._early:
                await self._begin()
            try:
                report = await self._prepare(release)
                accept(report)
            except BaseException:
                await self._all(Discard())
                raise
            self._release, self._broken = release, frozenset(report.broken)
            self.breaker.reset()
            await self._commit()
        return report

    async def _somebody(self) -> None:
        """Waits a while for a worker, if all are being replaced: a release may be what mends them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not self._serving and not self._early:  # noqa: ASYNC110 - as in _ended
                    await asyncio.sleep(LOOK)

    async def _commit(self) -> None:
        """Has every worker serve what it has prepared; one that cannot any more is replaced."""
        workers = tuple(self._serving)
        for worker, answer in zip(workers, await self._all(Commit()), strict=True):
            if isinstance(answer, Report) and answer.error:
                worker.verdict = f"it could not serve what it had loaded: {answer.error}"
                worker.kill()

    async def _begin(self) -> None:
        try:
            self._serving = list(await asyncio.gather(*self._early))
        except OSError as error:
            raise EngineError(
                f"no process can be started ({error.strerror}); raise the limit of this user: ulimit -u 4096"
            ) from error
        self._early = []
        self._spawn(self._look_after())

    async def _prepare(self, release: Release) -> Report:
        answers = await self._all(self._preparation(release))
        reports = [answer for answer in answers if isinstance(answer, Report)]
        lost = [str(answer) for answer in answers if isinstance(answer, WorkerGone)]
        reasons = dict.fromkeys([report.error for report in reports if report.error])
        if lost:
            reasons[f"a worker was lost while it loaded the applications: {lost[0]}"] = None
        if reasons or not reports:
            raise ReloadRefused(tuple(reasons) or ("no worker is there to load it; see the log",))
        broken = [item for report in reports for item in report.broken.items()]
        return replace(reports[0], broken=dict(broken))

    def _preparation(self, release: Release) -> Prepare:
        divided = release.with_configuration(share(release.configuration, self._settings.workers))
        return Prepare(release=divided, own_addresses=self._settings.bound.own_addresses())

    async def _all(self, order: Order) -> list[Report | WorkerGone]:
        """Every serving worker's answer."""

        async def ask(worker: WorkerProcess) -> Report | WorkerGone:
            try:
                return await worker.ask(order)
            except WorkerGone as gone:
                return gone

        return await asyncio.gather(*map(ask, tuple(self._serving)))

    # Processes.

    async def _hired(self) -> WorkerProcess:
        """A process that will be able to take orders; it is looked after until its end."""
        if not self._slots:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        slot = self._slots.pop()
        try:
            self._crumbs.clear(slot)
            worker = await WorkerProcess.start(self._outfit, slot)
        except BaseException as error:
            self._slots.append(slot)
            if isinstance(error, RuntimeError):  # asyncio waits for each process in a thread, on some systems
                raise OSError(errno.EAGAIN, str(error)) from error
            raise
        self._processes.add(worker)
        if self._stopping:
            worker.kill()
        self._spawn(self._attend(worker))
        return worker

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _attend(self, worker: WorkerProcess) -> None:
        """Waits for a process's end, and puts another in its place."""
        reason = await worker.gone()
        trace = self._crumbs.read(worker.slot)
        self._slots.append(worker.slot)
        self._processes.discard(worker)
        if self._stopping:
            return
        if worker in self._serving:
            self._serving.remove(worker)
            self._lost(worker, worker.verdict or reason, trace)
            await self._replace()
        elif self._reserve is not None and self._is(self._reserve, worker):
            self._reserve = None  # whoever needs one will hire it

    @staticmethod
    def _is(reserve: asyncio.Task[WorkerProcess], worker: WorkerProcess) -> bool:
        return reserve.done() and not reserve.exception() and reserve.result() is worker

    def _lost(self, worker: WorkerProcess, reason: str, trace: Trace) -> None:
        """Records a loss, and withdraws the application that has caused too many."""
        now = monotonic()
        self._losses = [at for at in self._losses if now - at < WINDOW] + [now]
        name = self._settings.name_of(trace.application)
        in_flight = min(trace.in_flight, 1_000_000)
        self._emit(WorkerLost(pid=worker.pid, reason=reason, application=name, in_flight=in_flight))
        if name and self.breaker.lost(name, now):
            text = f"{LOSSES} workers were lost within {WINDOW:.0f} s while it ran; reload to try it again"
            self._emit(ApplicationWithdrawn(application=name, reason=text))
            for other in self._serving:
                self._spawn(other.tell(Withdraw(self.breaker.withdrawn)))

    async def _replace(self) -> None:
        """Has the process in reserve take over, and hires another for the next time."""
        began, tries = monotonic(), len(self._losses)
        while not self._stopping:
            await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            try:
                worker = await self._from_reserve()
                await self._take_over(worker)
            except (WorkerGone, OSError) as error:
                tries += 1
                self._emit(Notice(message=f"a worker could not be started, and is tried again: {error}"))
                continue
            self.replaced += 1
            self._emit(WorkerReplaced(pid=worker.pid, wall_ms=1000 * (monotonic() - began)))
            return

    async def _from_reserve(self) -> WorkerProcess:
        reserve, self._reserve = self._reserve, None
        worker = await (reserve or asyncio.create_task(self._hired()))
        if not self._stopping and self._reserve is None:  # else somebody was quicker while we waited
            self._reserve = asyncio.create_task(self._hired())
        return worker

    async def _take_over(self, worker: WorkerProcess) -> None:
        """Makes a fresh process one of the serving; raises WorkerGone."""
        async with self._deploying:
            if self._release is None or self._stopping:
                raise WorkerGone("there is nothing to serve")
            report = await self._prepared_alike(worker, self._release)
            if report.error:
                worker.kill()
                raise WorkerGone(report.error)
            await worker.ask(Commit(self.breaker.withdrawn))
            self._serving.append(worker)
            await worker.tell(Withdraw(self.breaker.withdrawn))  # there may be one more by now

    async def _prepared_alike(self, worker: WorkerProcess, release: Release) -> Report:
        """Has a worker prepare what the others serve, and tells what it cannot serve though they can."""
        order = self._preparation(release)
        report = await worker.ask(order)
        if report.broken.keys() <= self._broken:
            return report
        await self._settings.build(release.pinned)  # never newer code than the others have
        report = await worker.ask(order)
        for name in report.broken.keys() - self._broken:
            self._emit(ApplicationBroken(application=name, reason=report.broken[name]))
        return report

    async def _look_after(self) -> None:
        """Kills whoever gives no sign of life; turns are counted, for this process may be stopped too.

        A guest that begins to run is one: thousands of requests that arrive at once keep the heart waiting.
        """
        silent: dict[WorkerProcess, tuple[tuple[int, int], int]] = {}
        while True:
            await asyncio.sleep(LOOK)
            for worker in self._serving:
                if not worker.is_ready.done():
                    continue  # it is starting, which may take longer than the longest silence
                trace = self._crumbs.read(worker.slot)
                signs = trace.beats, trace.slices
                before, turns = silent.get(worker, (signs, 0))
                turns = turns + 1 if signs == before else 0
                silent[worker] = (signs, turns)
                if turns * LOOK > self._settings.heartbeat:
                    worker.verdict = f"no sign of life for {self._settings.heartbeat:g} s"
                    worker.kill()
            silent = {worker: state for worker, state in silent.items() if worker in self._serving}

    # The end.

    async def stop(self, drain: float) -> None:
        """Lets every worker finish for so many seconds; cancelling this ends the wait, not the stopping."""
        self._stopping = True
        self._settings.bound.close()
        begun = [*self._early, *([self._reserve] if self._reserve else [])]
        try:
            await asyncio.gather(*begun, return_exceptions=True)  # or one would be started after the end
            for worker in self._processes.difference(self._serving):
                worker.kill()  # it listens, too: whoever came while it dies last would be reset
            await self._ended(GRACE, left=len(self._serving))
            await self._tell(Stop(drain))
            await self._ended(drain + GRACE)
        finally:
            await self._tell(Stop(0))  # what is left is cancelled
            await self._ended(GRACE)
            for worker in self._processes:
                worker.kill()
            await self._ended(GRACE)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._crumbs.close()

    async def _tell(self, order: Order) -> None:
        """Tells those that serve; those that do not are ended."""
        for worker in tuple(self._processes):
            if worker in self._serving:
                await worker.tell(order)
            else:
                worker.kill()

    async def _ended(self, seconds: float, *, left: int = 0) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(self._processes) > left:  # noqa: ASYNC110 - no event says how large a set is
                    await asyncio.sleep(0.01)

    def status(self) -> tuple[str, ...]:
        """A line for each worker, and one for each application that is out of service."""
        lines = [
            f"worker {worker.pid}: serves, {self._crumbs.read(worker.slot).in_flight} in flight"
            for worker in self._serving
        ]
        lines.append(f"workers replaced: {self.replaced}")
        lines += [
            f"{name}: out of service, it has taken workers down" for name in sorted(self.breaker.withdrawn)
        ]
        return tuple(lines)
