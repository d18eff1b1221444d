"""Small responses of one turn of the event loop leave together, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from server.doors import GET, Run
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Request, Response
from serverless_wasm.server import departures
from serverless_wasm.server.connection import Connection
from serverless_wasm.server.departures import Departures
from serverless_wasm.server.shared import Shared

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
EXPECT = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"


class Outlet:
    """Counts how often it is told to send."""

    def __init__(self) -> None:
        self.flushed = 0

    def flush(self) -> None:
        self.flushed += 1


class Wire(asyncio.Transport):
    """A transport that remembers what was written, and whether it was open then."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        assert not self.ended
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = write_eof = close


def waits_for_the_turn(run: Run, then: Callable[[Connection, Wire], None], data: bytes = GET) -> None:
    """A response is held when its request was read, and is out after `then`, within the same turn."""

    async def hello(request: Request) -> Response:
        if request.method == "POST":
            await request.body.read(1)
        return Response(status=200, body=b"hello")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def turn() -> None:
            connection.data_received(data)
            assert wire.written == b""
            then(connection, wire)
            assert wire.written.count(b"200 OK") == 1
            over.set_result(None)

        connection, wire = Connection(Shared(handler=hello, limits=DoorLimits(), emit=print), loop), Wire()
        connection.connection_made(wire)
        loop.call_soon(turn)
        await over
        await asyncio.sleep(0)
        assert wire.written.count(b"200 OK") == 1
        connection.connection_lost(None)

    run(main())


def test_outlets_are_told_at_the_end_of_the_turn(run: Run) -> None:
    """All at once, each once; those of the next turn in the next."""

    async def main() -> None:
        made, outlets = Departures(), [Outlet() for _ in range(3)]
        for _ in range(2):
            for outlet in outlets:
                made.add(outlet)
        assert [0, 0, 0] == [outlet.flushed for outlet in outlets]
        await asyncio.sleep(0)
        assert [2, 2, 2] == [outlet.flushed for outlet in outlets]
        made.add(outlets[0])
        await asyncio.sleep(0)
        assert [3, 2, 2] == [outlet.flushed for outlet in outlets]

    run(main())


def test_a_long_turn_is_not_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the first has waited too long, or there are many, they leave with the next."""

    async def main() -> None:
        made, outlets = Departures(), [Outlet() for _ in range(departures.MOST)]
        for outlet in outlets:
            assert not outlets[0].flushed
            made.add(outlet)
        assert all(outlet.flushed == 1 for outlet in outlets)
        monkeypatch.setattr(departures, "PATIENCE", 0.0)
        made.add(outlets[0])
        assert 1 == outlets[0].flushed
        made.add(outlets[1])
        assert [2, 2] == [outlet.flushed for outlet in outlets[:2]]
        await asyncio.sleep(0)
        assert all(outlet.flushed <= 2 for outlet in outlets)

    monkeypatch.setattr(departures, "PATIENCE", 60.0)
    run(main())


@pytest.mark.parametrize(
    "then",
    [
        lambda connection, _: connection.eof_received(),
        lambda connection, _: connection.retire(),
        lambda connection, _: connection.abort(),
        lambda connection, _: connection.turn_away(),
        lambda connection, _: connection._too_late(),
    ],
    ids=["the client ends its side", "the door closes", "cut off", "turned away", "too late"],
)
def test_whoever_closes_sends_first(run: Run, then: Callable[[Connection, Wire], None]) -> None:
    """What was answered is on its way, whatever becomes of the connection in the same turn."""
    waits_for_the_turn(run, then)


def test_what_follows_comes_behind(run: Run) -> None:
    """100 Continue for the next request is not sent before the response to the one before."""

    def more(connection: Connection, wire: Wire) -> None:
        connection.data_received(EXPECT)
        assert wire.written.endswith(b"\r\n\r\nhelloHTTP/1.1 100 Continue\r\n\r\n")

    waits_for_the_turn(run, more)


def test_the_last_answer_waits_for_nothing(run: Run) -> None:
    """A response that ends its connection is sent before the end."""

    async def hello(_request: Request) -> Response:
        return Response(status=200, body=b"hello")

    async def main() -> None:
        connection = Connection(
            Shared(handler=hello, limits=DoorLimits(), emit=print), asyncio.get_running_loop()
        )
        wire = Wire()
        connection.connection_made(wire)
        connection.data_received(CLOSE)
        await asyncio.sleep(0.01)
        assert wire.written.endswith(b"hello")
        assert wire.ended
        connection.connection_lost(None)

    run(main())


def test_nothing_is_sent_to_a_client_that_is_lost(run: Run) -> None:
    """Its response is forgotten."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        wire, over = Wire(), loop.create_future()

        async def hello(_request: Request) -> Response:
            return Response(status=200, body=b"hello")

        connection = Connection(Shared(handler=hello, limits=DoorLimits(), emit=print), loop)
        connection.connection_made(wire)

        def turn() -> None:
            connection.data_received(GET)
            wire.ended = True
            connection.connection_lost(None)
            over.set_result(None)

        loop.call_soon(turn)
        await over
        await asyncio.sleep(0)
        assert b"" == wire.written

    run(main())
