"""Backends to connect to, and an invocation to connect from; what the TCP tests share."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from serverless_wasm.limits import Limits
from serverless_wasm.net.connection import Connection
from serverless_wasm.net.policy import Address, Policy
from serverless_wasm.net.resolve import Resolver
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


class Dialled(Network):
    """A network that connects to nothing, and notes what it would have connected to.

    Its resolver answers whatever name it is asked for, each time with the next of the answers.
    """

    def __init__(self, *answers: str) -> None:
        super().__init__(resolver=Resolver(getaddrinfo=self.look_up))
        self._answers = iter(answers)
        self.asked: list[str] = []
        self.dialled: list[str] = []
        self.deadlines: list[float] = []
        self.looked_up = 0.0

    def look_up(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        self.looked_up = time.monotonic()
        return [(0, 1, 6, "localhost", (address, port)) for address in next(self._answers).split()]

    async def dial(self, addresses: Sequence[Address], *rest: Any) -> Connection:
        self.dialled += map(str, addresses)
        self.deadlines.append(rest[-1])
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


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
    """The sockets of the only invocation of an application, closed at its end."""
    network = network or Network()
    outbound = network.for_application(policy, limits or Limits())
    sockets = outbound.for_invocation(Log() if log is None else log)
    try:
        yield sockets
    finally:
        sockets.close_all()
        network.close()
        assert outbound.open == 0


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """The process has no more open files afterwards than before."""
    before = len(list(Path("/dev/fd").iterdir()))
    yield
    assert len(list(Path("/dev/fd").iterdir())) <= before


def main_address() -> str:
    """The address that this machine calls a stranger from; loopback where no route leads out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))  # RFC 5737; nothing is sent
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def join_lookups() -> None:
    """Waits for the threads of lookups that can end."""
    for thread in threading.enumerate():
        if thread.name == "lookup":
            thread.join()


async def waiting(operation: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Starts an operation that has to wait, and returns once it does."""
    task = asyncio.create_task(operation)
    await asyncio.sleep(0)  # its first step runs before ours
    return task


@contextmanager
def black_hole() -> Iterator[bytes]:
    """A target that answers no SYN."""
    with full() as listening:
        yield b"127.0.0.1:%d" % listening.getsockname()[1]


@contextmanager
def taking(listening: socket.socket) -> Iterator[None]:
    """Accepts whoever comes, and lets go of them."""
    loop = asyncio.get_running_loop()

    def take() -> None:
        listening.accept()[0].close()

    loop.add_reader(listening, take)
    try:
        yield
    finally:
        loop.remove_reader(listening)


@contextmanager
def full() -> Iterator[socket.socket]:
    """A listening socket whose queue is full: it answers no SYN until somebody is accepted."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        try:
            yield listening
        finally:
            for filler in fillers:
                filler.close()
