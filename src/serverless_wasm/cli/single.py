"""`serve --workers 0`: what only a process without workers has.

Sockets and a cache come in; a backend that answers requests in this very process goes out.
It must never be loaded by a supervisor: it brings the engine with it.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import uvloop

from serverless_wasm.events import Emit
from serverless_wasm.processes.alone import Alone
from serverless_wasm.processes.station import Station
from serverless_wasm.release import Builder
from serverless_wasm.server.sockets import Bound
from serverless_wasm.service import Service
from serverless_wasm.sources.fetch import Watch
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.code import InlineCompiler


def run(work: Coroutine[Any, Any, None]) -> None:
    """Runs the event loop of the workers in this process."""
    uvloop.run(work)


def builder(cache: Cache, emit: Emit, watch: Watch) -> Builder:
    """Compiles in a thread of this process."""
    return Builder(cache, InlineCompiler, emit=emit, watch=watch)


def alone(cache: Cache, bound: Bound, emit: Emit) -> Alone:
    """Serves on the sockets from this process."""
    station = Station(Service(emit, cache), bound.sockets, emit)
    return Alone(station, bound.own_addresses())
