"""Replacing what is served by what the configuration file says now, or saying why not.

A file that may have changed comes in; the next release is served, and one log line says what became of it.
It must never give up what is served for something that cannot be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from time import monotonic

from serverless_wasm.config.configuration import Configuration
from serverless_wasm.errors import ConfigError, ReloadRefused, Unavailable
from serverless_wasm.events import ApplicationBroken, Emit, Notice, Reloaded
from serverless_wasm.events import ReloadRefused as ReloadNotTaken
from serverless_wasm.processes.channel import Report
from serverless_wasm.release import Release, differences

Read = Callable[[], Configuration]
"""What the file says now; raises ConfigError."""
Build = Callable[[Configuration], Awaitable[Release]]
Accept = Callable[[Report], None]
"""Looks at what became of a release, and raises to keep the one before."""
Deploy = Callable[[Release, Accept], Awaitable[Report]]
"""Serves a release unless the second argument raises; raises ReloadRefused."""


class Reloader:
    """Replaces what is served by what the configuration file says now, one reload at a time."""

    def __init__(self, read: Read, build: Build, deploy: Deploy, emit: Emit) -> None:
        self._release: Release | None = None
        self.broken: frozenset[str] = frozenset()
        """The applications of it that could not be loaded."""
        self._read = read
        self._build = build
        self._deploy = deploy
        self._emit = emit
        self._one = asyncio.Lock()

    @property
    def current(self) -> Release:
        """What is served; raises Unavailable before there was a `first`."""
        if self._release is None:
            raise Unavailable("nothing is served yet")
        return self._release

    async def first(self, release: Release, accept: Accept) -> Report:
        """Serves the first release, unless `accept` raises: then nothing is served."""

        def told(report: Report) -> None:
            for name, reason in report.broken.items():
                self._emit(ApplicationBroken(application=name, reason=reason))
            accept(report)

        report = await self._deploy(release, told)
        self._release, self.broken = release, frozenset(report.broken)
        for notice in report.notices:
            self._emit(Notice(message=notice))
        return report

    async def reload(self) -> tuple[str, ...]:
        """Serves what the file says now; returns what has changed, or raises ReloadRefused.

        An application that could not be loaded before does not have to be now; any other must.
        """
        async with self._one:
            began = monotonic()
            try:
                changes = await self._reload()
            except ReloadRefused as refusal:
                self._emit(ReloadNotTaken(reasons=refusal.reasons))
                raise
            self._emit(Reloaded(changes=changes, wall_ms=1000 * (monotonic() - began)))
            return changes

    async def _reload(self) -> tuple[str, ...]:
        before, known = self.current, self.broken
        try:
            configuration = await asyncio.to_thread(self._read)
        except ConfigError as error:
            raise ReloadRefused(tuple(map(str, error.problems))) from None
        fixed = tuple(_fixed(before.configuration, configuration))
        if fixed:
            raise ReloadRefused(tuple(f"{name} has changed, which takes a restart" for name in fixed))
        release = await self._build(configuration)

        def accept(report: Report) -> None:
            worse = {name: reason for name, reason in report.broken.items() if name not in known}
            if worse:
                raise ReloadRefused(tuple(f"{name}: {reason}" for name, reason in worse.items()))

        report = await self._deploy(release, accept)
        changes = tuple(differences(before, release))
        self._release, self.broken = release, frozenset(report.broken)
        return changes


def _fixed(old: Configuration, new: Configuration) -> Iterator[str]:
    """What differs that only a restart can change."""
    if (old.listen_host, old.listen_port) != (new.listen_host, new.listen_port):
        yield "listen_address"
    if old.workers != new.workers or old.heartbeat != new.heartbeat:
        yield "server.workers or server.heartbeat"
    if (old.tls is None) != (new.tls is None):
        yield "whether there is a [server.tls] table"
