"""wasi:clocks: what time it is, and waiting for a time, as coarse as a guest may see it (abi/wasi/clocks.py).

Times and durations in nanoseconds come in; times, and pollables that are ready then, go out.
They must never be finer than the clocks of preview 1: a guest that measures finely measures its neighbours.
"""

from __future__ import annotations

import asyncio

from serverless_wasm.abi.wasi.clocks import MONOTONIC, REALTIME
from serverless_wasm.abi.wasi_http.interface import Interface, function, own
from serverless_wasm.abi.wasi_http.poll import Pollable
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.wasm.components.types import U32, U64, Record

DATETIME = Record((("seconds", U64), ("nanoseconds", U32)))
_SECOND = 1_000_000_000
_LATEST = 2**64 - 1
_LONGEST = 86_400.0
"""Seconds of one sleep: loops have their bounds, and after a day we may look around."""


def datetime(nanoseconds: int) -> tuple[int, int]:
    """A DATETIME."""
    return divmod(nanoseconds, _SECOND)


def at(world: World, instant: int) -> Pollable:
    """Ready once the monotonic clock shows an instant."""
    clocks = world.clocks

    async def wait() -> None:
        left = clocks.until(MONOTONIC, instant)
        await asyncio.sleep(min(max(0, left) / 1e9, _LONGEST))

    return Pollable(lambda: clocks.until(MONOTONIC, instant) <= 0, wait)


def _monotonic_now(world: World) -> int:
    return world.clocks.now(MONOTONIC)


def _monotonic_resolution(world: World) -> int:
    return world.clocks.resolution(MONOTONIC)


def _after(world: World, duration: int) -> Pollable:
    return at(world, min(world.clocks.now(MONOTONIC) + duration, _LATEST))


def _wall_now(world: World) -> tuple[int, int]:
    return datetime(world.clocks.now(REALTIME))


def _wall_resolution(world: World) -> tuple[int, int]:
    return datetime(world.clocks.resolution(REALTIME))


MONOTONIC_CLOCK = Interface(
    "wasi:clocks/monotonic-clock",
    (
        function("now", _monotonic_now, gives=U64),
        function("resolution", _monotonic_resolution, gives=U64),
        function("subscribe-instant", at, ("when", U64), gives=own(Pollable)),
        function("subscribe-duration", _after, ("when", U64), gives=own(Pollable)),
    ),
)
WALL_CLOCK = Interface(
    "wasi:clocks/wall-clock",
    (
        function("now", _wall_now, gives=DATETIME),
        function("resolution", _wall_resolution, gives=DATETIME),
    ),
)
