"""The process of a worker: the composition root that the supervisor starts, never a person.

What the process inherited comes in on its command line; the worker runs until it is told to stop.
It must never outlive the supervisor, whatever it is doing at that moment.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import uvloop

from serverless_wasm.errors import EngineError
from serverless_wasm.events import Emit, Event, InternalFault, Notice
from serverless_wasm.observe.logs import Logs, Style
from serverless_wasm.parent import end_with
from serverless_wasm.processes.crumbs import Crumbs
from serverless_wasm.processes.process import Call, tell_faults
from serverless_wasm.processes.station import Station
from serverless_wasm.processes.worker import Worker
from serverless_wasm.service import Service
from serverless_wasm.wasm.artifacts import Cache

COLLECTIONS = 20_000, 20, 10
"""When the garbage collector looks for circles: each guest that waits is a hundred objects and no circle.
With Python's own 700, a crowd of 5,000 took a sixth more processor time (measured)."""


def main() -> None:
    """Serves until the supervisor says stop, or is gone."""
    call = Call.read(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_with(call.parent)
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    uvloop.run(_run(call))


async def _run(call: Call) -> None:
    outfit = call.outfit
    emit = Logs(sys.stderr, Style(outfit.style), lock=outfit.lock, colours=outfit.colours)
    emit.gather(asyncio.get_running_loop().call_soon)
    tell_faults("worker", emit)
    try:
        worker = await _worker(call, emit)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.retire)
        await worker.run()
    except EngineError as error:
        emit(Notice(message=f"a worker cannot start: {error}"))
        os._exit(1)
    except Exception as fault:
        emit(_last_words(fault))
        os._exit(1)
    emit.finish()
    os._exit(0)  # what the supervisor's death has cut short must not be waited for


def _last_words(fault: Exception) -> Event:
    if isinstance(fault, RuntimeError):
        with suppress(RuntimeError):
            return Notice(message=f"a worker cannot go on: {EngineError.of_threads(fault)}")
    return InternalFault(where="worker", request_id="", exception=fault)


async def _worker(call: Call, emit: Emit) -> Worker:
    crumb = Crumbs.open(call.outfit.crumbs, call.slot)
    channel, sockets = await call.open_channel(), call.open_sockets()
    service = Service(emit, Cache(Path(call.outfit.cache)), crumb.running)
    return Worker(channel, crumb, Station(service, sockets, emit))


if __name__ == "__main__":
    main()
