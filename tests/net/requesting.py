"""What the HTTP client's tests share: an invocation that sends requests, servers that say what is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from net.backends import Log, Serve, backend
from serverless_wasm.errors import Failed
from serverless_wasm.limits import Limits
from serverless_wasm.net.call import Call, Fields, Times
from serverless_wasm.net.client import Client
from serverless_wasm.net.exchange import Exchange
from serverless_wasm.net.idle import Origin
from serverless_wasm.net.policy import Policy, Target
from serverless_wasm.net.tcp import Network, Outbound, Sockets
from serverless_wasm.net.unanswered import Unanswered

ANYWHERE = Policy.for_application(["*://*:*", "*://127.0.0.0/8:*", "*://[::1]:*"], [])
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


class Guest:
    """One invocation, and its application."""

    def __init__(self, policy: Policy = ANYWHERE, network: Network | None = None, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.log = Log()
        self.network = network or Network()
        self.outbound: Outbound = self.network.for_application(policy, self.limits)
        self.sockets: Sockets = self.outbound.for_invocation(self.log)

    @property
    def client(self) -> Client:
        """What it sends with."""
        return Client(self.sockets)

    def another(self) -> Guest:
        """Another invocation of the same application."""
        other = Guest(network=self.network)
        other.limits, other.outbound = self.limits, self.outbound
        other.sockets = self.outbound.for_invocation(other.log)
        return other

    def call(self, port: int, method: bytes = b"GET", **fields: Any) -> Call:
        """A request to a server of this machine."""
        scheme, host = fields.pop("scheme", "http"), fields.pop("host", b"127.0.0.1")
        parts: dict[str, Any] = {
            "origin": Origin(scheme, Target.parse(b"%b:%d" % (host, port))),
            "authority": b"%b:%d" % (host, port),
            "method": method,
            "target": b"/",
            "fields": (),
            "times": Times.of(self.limits),
        }
        return Call(**{**parts, **fields})

    async def get(self, port: int, **fields: Any) -> tuple[int, bytes]:
        """Status and body of what a GET is answered with."""
        exchange = self.client.send(self.call(port, **fields))
        return await answer_of(exchange)


class Words:
    """A body that is sent in these pieces."""

    def __init__(self, *pieces: bytes, declared: int | None = None, trailers: Fields = ()) -> None:
        self.declared = declared
        self.trailers = trailers
        self.pieces = list(pieces)
        self.is_shut = False

    @property
    def is_empty(self) -> bool:
        """It has pieces."""
        return False

    async def take(self) -> bytes:
        """The next of them."""
        return self.pieces.pop(0) if self.pieces else b""

    def shut(self) -> None:
        """Nobody takes any more."""
        self.is_shut = True


class Broken(Words):
    """A body that its guest does not finish."""

    async def take(self) -> bytes:
        """Fails behind the last piece."""
        if self.pieces:
            return self.pieces.pop(0)
        raise Failed("dropped")


async def body_of(exchange: Exchange) -> bytes:
    """All of it."""
    pieces = []
    while piece := await exchange.next():
        pieces.append(piece)
    return b"".join(pieces)


async def answer_of(exchange: Exchange) -> tuple[int, bytes]:
    """Status and body."""
    await exchange.answered()
    return exchange.result().status, await body_of(exchange)


def saying(*answers: bytes, close: bool = True) -> Serve:
    """A server that gives these answers to the requests of a connection, in order."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        if not close:
            await reader.read()

    return serve


class Recording:
    """A server that keeps the heads it was sent, one list a connection, and answers each with OK."""

    def __init__(self, answer: bytes = OK) -> None:
        self.heads: list[list[bytes]] = []
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads: list[bytes] = []
        self.heads.append(heads)
        while True:
            try:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                return
            writer.write(self._answer)
            await writer.drain()


@asynccontextmanager
async def guest_of(serve: Serve, **limits: Any) -> AsyncIterator[tuple[Guest, int]]:
    """An invocation, and the port of a server; both are over afterwards, and nothing is left."""
    async with backend(serve) as port:
        guest = Guest(**limits)
        yield guest, port
        guest.sockets.close_all()
        await asyncio.sleep(0)  # cancelled connects give their descriptors back
        guest.network.close()
        assert guest.outbound.open == 0
        assert guest.sockets.exchanges == set()


@contextmanager
def unanswered(*kinds: str) -> Iterator[None]:
    """Expects that there is no answer, for one of these reasons."""
    with pytest.raises(Unanswered) as raised:
        yield
    assert raised.value.kind in kinds
