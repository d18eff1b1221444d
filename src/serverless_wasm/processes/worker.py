"""A worker: one process that serves what the supervisor tells it to.

Orders come in through a channel; reports go out, and requests are answered meanwhile.
It must never outlive its supervisor, nor serve a release that the others were not given too.
"""

from __future__ import annotations

import asyncio

from serverless_wasm.errors import EngineError, Error
from serverless_wasm.processes.channel import Channel, Commit, Order, Prepare, Report, Stop, Withdraw
from serverless_wasm.processes.crumbs import Crumb
from serverless_wasm.processes.station import Station

BEAT = 0.1
"""Seconds between two signs of life."""


class Worker:
    """Follows orders from `run` to its end."""

    def __init__(self, channel: Channel, crumb: Crumb, station: Station) -> None:
        self._channel = channel
        self._crumb = crumb
        self._station = station
        self._stopping: asyncio.Task[None] | None = None
        self._ordered = False
        """Whether it was the supervisor that said stop."""
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Returns once everything is finished, or at once when the supervisor has gone."""
        jobs = [asyncio.create_task(job) for job in (self._listen(), self._ended.wait())]
        beating = asyncio.create_task(self._beat())
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*jobs, beating):
                task.cancel()

    def retire(self) -> None:
        """Finishes what is in progress, as at the end of the service; calling it again changes nothing.

        For a signal, which may have been sent to the supervisor as well: only its orders are counted.
        """
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(self._station.drain))

    def _follow_stop(self, drain: float) -> None:
        """Finishes what is in progress within so many seconds; a second order ends the wait."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(drain))
        elif self._ordered:  # soon: one that was cancelled before it began would never end
            asyncio.get_running_loop().call_soon(self._stopping.cancel)
        self._ordered = True

    async def _stop(self, drain: float) -> None:
        try:
            await self._station.stop(drain)
        finally:
            self._ended.set()

    async def _beat(self) -> None:
        while True:
            self._crumb.beats[0] += 1
            self._crumb.in_flight[0] = self._station.in_flight
            await asyncio.sleep(BEAT)

    async def _listen(self) -> None:
        """Follows orders until the supervisor has gone."""
        report: Report | None = Report()
        while True:
            try:
                if report is not None:
                    await self._channel.report(report)
                order = await self._channel.next_order()
            except (EOFError, OSError):
                return
            report = await self._follow(order)

    async def _follow(self, order: Order) -> Report | None:
        """The answer to an order, if it has one."""
        if isinstance(order, Stop):
            self._follow_stop(order.drain)
            return None
        if isinstance(order, Withdraw):
            self._station.withdraw(order.applications)
            return None
        try:
            return await self._report(order)
        except (Error, OSError) as error:
            return Report(error=str(error))
        except RuntimeError as error:
            return Report(error=str(EngineError.of_threads(error)))

    async def _report(self, order: Order) -> Report:
        if isinstance(order, Prepare):
            return await self._station.prepare(order.release, order.own_addresses)
        if isinstance(order, Commit):
            await self._station.commit(order.withdrawn)
        else:
            await self._station.discard()
        return Report()
