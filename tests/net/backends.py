"""Backends to connect to, and an invocation to connect from; what the TCP tests share."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from serverless_wasm.limits import Limits
from serverless_wasm.net.policy import Policy
from serverless_wasm.net.tcp import Network, Sockets

Run = Callable[[Coroutine[Any, Any, None]], None]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ANYWHERE = Policy.for_application(["tcp://*:*", "tcp://127.0.0.0/8:*", "tcp://[::1]:*"], [])


@asynccontextmanager
async def backend(serve: Serve, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A real server; each connection is closed when `serve` returns or the test ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back whatever arrives."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@contextmanager
def silent() -> Iterator[bytes]:
    """A target whose kernel accepts, and where nobody ever says a word, nor reads one."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield b"127.0.0.1:%d" % listening.getsockname()[1]


class Log(list[tuple[str, str, str]]):
    """Collects refusals."""

    def __call__(self, target: str, reason: str, remedy: str) -> None:
        self.append((target, reason, remedy))


@contextmanager
def invocation(
    policy: Policy = ANYWHERE,
    *,
    network: Network | None = None,
    limits: Limits | None = None,
    log: Log | None = None,
) -> Iterator[Sockets]:
    """The sockets of one invocation, closed at its end."""
    network = network or Network()
    sockets = network.for_invocation(policy, limits or Limits(), Log() if log is None else log)
    try:
        yield sockets
    finally:
        sockets.close_all()
        network.close()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """The process has no more open files afterwards than before."""
    before = len(list(Path("/dev/fd").iterdir()))
    yield
    assert len(list(Path("/dev/fd").iterdir())) <= before


async def waiting(operation: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Starts an operation that has to wait, and returns once it does."""
    task = asyncio.create_task(operation)
    await asyncio.sleep(0)  # its first step runs before ours
    return task


@contextmanager
def black_hole() -> Iterator[bytes]:
    """A target that answers no SYN: a listening socket whose queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        try:
            yield b"127.0.0.1:%d" % listening.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()
