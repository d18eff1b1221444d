"""The supervisor: takes orders from the operator, and keeps one configuration being served.

Signals, changed files and commands come in; reloads and one stop go out.
It must never load the engine, nor end before what is in progress has had its time.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from serverless_wasm.errors import ReloadRefused
from serverless_wasm.events import Emit, InternalFault, Notice, ServiceStopped
from serverless_wasm.processes.channel import Report
from serverless_wasm.processes.control import Answer, ControlSocket, NoControl
from serverless_wasm.processes.notify import Notifier
from serverless_wasm.processes.reloader import Accept, Reloader
from serverless_wasm.processes.watch import CannotWatch
from serverless_wasm.release import Release


class Backend(Protocol):
    """Who answers requests: a Crew of workers, or this process Alone."""

    async def deploy(self, release: Release, accept: Accept) -> Report:
        """Serves a release."""

    async def stop(self, drain: float) -> None:
        """Ends; cancelling this ends the wait for what is in progress."""

    def status(self) -> tuple[str, ...]:
        """What it is doing, in lines."""


class Supervisor:
    """Serves what `reloader` has begun to serve, from `run` to its end.

    `wanted` is set by whoever wants a reload and needs no answer: on_hangup.
    """

    def __init__(
        self, reloader: Reloader, backend: Backend, notifier: Notifier, wanted: asyncio.Event, emit: Emit
    ) -> None:
        self._reloader = reloader
        self._backend = backend
        self._notifier = notifier
        self._wanted = wanted
        self._emit = emit
        self._stop = asyncio.Event()

    async def run(
        self, path: Path, announce: Callable[[], None], watched: AsyncIterator[None] | None
    ) -> None:
        """Takes orders until a signal says stop; a second one ends the wait for what is in progress.

        Calls `announce` as soon as it hears them. Each item of `watched` is a wish to reload.
        """
        on_stop(self._stop.set)
        control = await self._control(path)
        announce()
        orders = [self._reloads(), self._beats()] + ([self._watch(watched)] if watched else [])
        tasks = [asyncio.create_task(self._guarded(order)) for order in orders]
        self._notifier.ready(self._summary())
        if self._notifier.problem:
            self._emit(Notice(message=self._notifier.problem))
        try:
            await self._stop.wait()
        finally:
            stopping = self._begin_to_stop()  # first: workers that got the same signal are not to be replaced
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if control is not None:
                await control.close()
            await self._end(stopping)

    def _begin_to_stop(self) -> asyncio.Task[None]:
        """Stops the backend; another signal ends the wait for requests in progress."""
        stopping = asyncio.ensure_future(self._backend.stop(self._current.configuration.drain))
        on_stop(stopping.cancel)
        self._notifier.stopping()
        return stopping

    async def _end(self, stopping: asyncio.Task[None]) -> None:
        await asyncio.wait({stopping})
        if not stopping.cancelled():
            stopping.result()
        self._emit(ServiceStopped())

    @property
    def _current(self) -> Release:
        return self._reloader.current

    def _summary(self) -> str:
        served = len(self._current.parts) - len(self._reloader.broken)
        return f"serves {served} of {len(self._current.parts)} applications"

    async def _guarded(self, order: Coroutine[Any, Any, None]) -> None:
        try:
            await order
        except Exception as fault:  # a fault of ours in one of them is no reason to stop serving
            self._emit(InternalFault(where="supervisor", request_id="", exception=fault))

    # Reloads.

    async def _reload(self) -> tuple[str, ...]:
        self._notifier.reloading()
        try:
            return await self._reloader.reload()
        finally:
            self._notifier.ready(self._summary())

    async def _reloads(self) -> None:
        """Reloads whenever somebody asked; a storm of signals meanwhile counts once."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._reload()
            except ReloadRefused:
                continue  # the log has said why
            except Exception as fault:  # a fault of ours in one reload is no reason to refuse the next
                self._emit(InternalFault(where="supervisor", request_id="", exception=fault))

    async def _watch(self, watched: AsyncIterator[None]) -> None:
        try:
            async for _ in watched:
                self._wanted.set()
        except CannotWatch as error:
            self._emit(Notice(message=f"--watch: {error}"))

    async def _beats(self) -> None:
        while self._notifier.watchdog_seconds is not None:
            self._notifier.watchdog()
            await asyncio.sleep(self._notifier.watchdog_seconds / 2)

    # Commands.

    async def _control(self, path: Path) -> ControlSocket | None:
        control = ControlSocket(path, self._command)
        try:
            await control.open()
        except NoControl as error:
            self._emit(Notice(message=str(error)))
            return None
        return control

    async def _command(self, command: str) -> Answer:
        if command == "status":
            return Answer(ok=True, message=self._summary(), details=self._backend.status())
        if command != "reload":
            return Answer(ok=False, message="unknown command; this release knows reload and status")
        try:
            changed = await self._reload()
        except ReloadRefused as refusal:
            return Answer(
                ok=False, message="the configuration before is still served", details=refusal.reasons
            )
        return Answer(
            ok=True, message="reloaded" if changed else "reloaded, nothing has changed", details=changed
        )


def on_hangup() -> asyncio.Event:
    """What SIGHUP sets from now on."""
    wanted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, wanted.set)
    return wanted


def on_stop(action: Callable[..., object], *arguments: object) -> None:
    """What SIGINT and SIGTERM do from now on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, action, *arguments)
