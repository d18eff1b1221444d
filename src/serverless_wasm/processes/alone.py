"""The service in one process, without supervisor and workers: for debugging, and where one must be enough.

Releases come in; requests are answered by this very process.
It must never claim what it cannot do: a crash of the engine ends it.
"""

from __future__ import annotations

from serverless_wasm.errors import ConfigError, EngineError, ReloadRefused
from serverless_wasm.processes.channel import Report
from serverless_wasm.processes.reloader import Accept
from serverless_wasm.processes.station import Station
from serverless_wasm.release import Release


class Alone:
    """Does what a Crew does."""

    def __init__(self, station: Station, own_addresses: tuple[str, ...]) -> None:
        self._station = station
        self._own_addresses = own_addresses

    async def deploy(self, release: Release, accept: Accept) -> Report:
        """Serves the release, or raises ReloadRefused or what `accept` raises: all is as before."""
        try:
            report = await self._station.prepare(release, self._own_addresses)
        except (ConfigError, EngineError) as error:
            raise ReloadRefused((str(error),)) from error
        try:
            accept(report)
        except BaseException:
            await self._station.discard()
            raise
        await self._station.commit()
        return report

    async def stop(self, drain: float) -> None:
        """Finishes what is in progress within so many seconds; cancelling this ends the wait."""
        await self._station.stop(drain)

    def status(self) -> tuple[str, ...]:
        """What the process is doing, in lines."""
        return (f"one process: serves, {self._station.in_flight} in flight",)
