"""A worker as the supervisor sees it: a process, a channel to it, and its answers.

Orders come in; the worker's reports go out, or WorkerGone.
It must never wait for ever for a worker that does not answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from serverless_wasm.config.configuration import PREFIX
from serverless_wasm.events import Emit, InternalFault
from serverless_wasm.processes.channel import Channel, Order, Report

ANSWER_TIMEOUT = 120.0
"""Seconds for one order: to load ten thousand modules takes some."""

LAST_WORDS = 0.5
"""Seconds for a worker that has broken the channel off to say why in the log."""


class WorkerGone(Exception):
    """The process ended, or is as good as that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outfit:
    """What every worker is started with, as numbers of descriptors that it inherits."""

    command: Sequence[str]
    sockets: tuple[int, ...]
    crumbs: int
    lock: int
    cache: str
    style: str
    colours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What one worker reads from its command line."""

    channel: int
    slot: int
    parent: int
    outfit: Outfit

    def text(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))

    def open_sockets(self) -> list[socket.socket]:
        """The sockets to listen on; to be called once."""
        return [socket.socket(fileno=number) for number in self.outfit.sockets]

    async def open_channel(self) -> Channel:
        """The channel to the supervisor; to be called once."""
        return await Channel.open(socket.socket(fileno=self.channel))

    @classmethod
    def read(cls, text: str) -> Call:
        """What `text` wrote."""
        document = json.loads(text)
        outfit = document.pop("outfit")
        return cls(outfit=Outfit(**{**outfit, "sockets": tuple(outfit["sockets"])}), **document)


ALLOCATOR = MappingProxyType(
    {"MALLOC_TRIM_THRESHOLD_": str(32 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
)
"""Keeps a worker's glibc from giving every large body's memory back, to be asked for page by page again: a
quarter of what it costs to echo 1 MiB. Read by no other libc; the operator's environment comes first."""


class WorkerProcess:
    """One worker, from `start` to the end of `gone`."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel, slot: int) -> None:
        self.slot = slot
        self.pid = process.pid
        self.verdict = ""
        """Why it was killed, if it was."""
        self.is_ready = asyncio.create_task(channel.next_report())
        """Done once it can take orders."""
        self._process = process
        self._channel = channel
        self._busy = asyncio.Lock()

    @classmethod
    async def start(cls, outfit: Outfit, slot: int) -> WorkerProcess:
        """Starts a process; raises OSError when the system has none left."""
        ours, theirs = socket.socketpair()
        call = Call(channel=theirs.fileno(), slot=slot, parent=os.getpid(), outfit=outfit)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *outfit.command,
                    call.text(),
                    stdin=asyncio.subprocess.DEVNULL,
                    start_new_session=True,  # the signals of a terminal are the supervisor's business
                    pass_fds=(theirs.fileno(), outfit.crumbs, outfit.lock, *outfit.sockets),
                    env=_environment(),
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, await Channel.open(ours), slot)

    async def ask(self, order: Order) -> Report:
        """The answer to an order; raises WorkerGone when there will be none.

        Cancelling this does not take the order back, nor leave its answer to the next one.
        """
        exchange = asyncio.create_task(self._exchange(order))
        exchange.add_done_callback(lambda task: task.cancelled() or task.exception())  # looked at
        return await asyncio.shield(exchange)

    async def _exchange(self, order: Order) -> Report:
        async with self._busy:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    await asyncio.shield(self.is_ready)
                    await self._channel.order(order)
                    return await self._channel.next_report()
            except (EOFError, OSError) as error:  # TimeoutError is an OSError
                asyncio.get_running_loop().call_later(LAST_WORDS, self.kill)
                raise WorkerGone(str(error) or "it did not answer in time") from error

    async def tell(self, order: Order) -> None:
        """Sends an order that has no answer; nothing happens if the worker has gone."""
        with suppress(OSError, EOFError):
            await asyncio.shield(self.is_ready)
            await self._channel.order(order)

    def kill(self) -> None:
        """Ends it now."""
        if self._process.returncode is None:
            # Not Process.kill: that polls first, and what it finds dead the watcher of the loop then misses.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def gone(self) -> str:
        """Waits for the process's end; says how it ended."""
        code = await self._process.wait()
        await asyncio.wait({self.is_ready})  # it is over, too: the process's end of the channel is closed
        self.is_ready.exception()  # looked at: nobody else may have asked
        self._channel.close()
        return how(code)


def tell_faults(where: str, emit: Emit) -> None:
    """Has the running loop tell of exceptions that nobody awaits, instead of writing them to stderr."""

    def handle(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        fault = context.get("exception") or RuntimeError(context["message"])
        emit(InternalFault(where=where, request_id="", exception=fault))

    asyncio.get_running_loop().set_exception_handler(handle)


def how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def python(module: str) -> tuple[str, ...]:
    """The command that runs a module of this package with this interpreter."""
    return (sys.executable, "-m", module)


def _environment() -> dict[str, str]:
    """That of the operator, without the variables that only the configuration needs (THREATS G36)."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}
    return {**ALLOCATOR, **own}
