"""Bodies on their way out: framed, held back, cut off, and always freed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from server.doors import GET, Run, serving
from serverless_wasm.errors import DeadlineExceeded
from serverless_wasm.events import InternalFault
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Handler, Headers, Request, Response

MIB = 1024 * 1024
OLD = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"


def streaming(chunks: Callable[[], AsyncIterator[bytes]], *fields: tuple[bytes, bytes]) -> Handler:
    """A handler whose responses have these chunks."""

    async def handler(request: Request) -> Response:
        return Response(status=200, headers=Headers(fields), body=chunks())

    return handler


async def some() -> AsyncIterator[bytes]:
    """Three pieces with an empty one between, which must not look like the end."""
    for piece in (b"ab", b"", b"c" * 200_000, b"d"):
        yield piece
        await asyncio.sleep(0)


WHOLE = b"ab" + b"c" * 200_000 + b"d"


def test_streams_are_chunked_and_the_connection_goes_on(run: Run) -> None:
    """HTTP/1.1 needs no length."""

    async def main() -> None:
        async with serving(streaming(some)) as served:
            client = await served.connect()
            for _ in range(2):
                answer = await client.ask(GET)
                assert (b"chunked", None) == (
                    answer.header(b"transfer-encoding"),
                    answer.header(b"content-length"),
                )
                assert WHOLE == answer.body

    run(main())


def test_streams_end_with_the_connection_in_http_1_0(run: Run) -> None:
    """There are no chunks there."""

    async def main() -> None:
        async with serving(streaming(some)) as served:
            answer = await (await served.connect()).ask(OLD)
            assert (None, b"close") == (answer.header(b"transfer-encoding"), answer.header(b"connection"))
            assert WHOLE == answer.body

    run(main())


def test_a_stream_whose_length_is_said_has_it(run: Run) -> None:
    """Then it needs no chunks, and HTTP/1.0 keeps its connection."""

    async def main() -> None:
        handler = streaming(some, (b"Content-Length", b"%d" % len(WHOLE)), (b"content-length", b"200003"))
        async with serving(handler) as served:
            client = await served.connect()
            for request in (GET, OLD, GET):
                answer = await client.ask(request)
                assert (None, b"200003") == (
                    answer.header(b"transfer-encoding"),
                    answer.header(b"content-length"),
                )
                assert WHOLE == answer.body

    run(main())


@pytest.mark.parametrize("said", [b"200002", b"200004", b"0"])
def test_a_stream_of_another_length_than_was_said_is_cut(run: Run, said: bytes) -> None:
    """Neither too many bytes nor too few pass for a body."""

    async def main() -> None:
        async with serving(streaming(some, (b"content-length", said))) as served:
            client = await served.connect()
            await client.send(GET + GET)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                assert (await client.answer()).body != (await client.answer()).body
            (event,) = served.events
            assert isinstance(event, InternalFault)

    run(main())


@pytest.mark.parametrize("said", [b"+3", b"", b"3, 3", b"0x3", b"9" * 5000])
def test_a_length_that_is_no_number_is_a_fault(run: Run, said: bytes) -> None:
    """It is 500 before anything is sent."""

    async def main() -> None:
        async with serving(streaming(some, (b"content-length", said))) as served:
            client = await served.connect()
            assert 500 == (await client.ask(GET)).status
            assert b"" == await client.ended()

    run(main())


@pytest.mark.parametrize("request_bytes", [GET, OLD])
@pytest.mark.parametrize(
    "error", [ValueError("x"), DeadlineExceeded("y"), asyncio.CancelledError("from within"), None]
)
def test_a_stream_that_fails_never_ends_cleanly(
    run: Run, request_bytes: bytes, error: BaseException | None
) -> None:
    """The client sees a reset, in HTTP/1.0 too, where an orderly end would be the end of the body."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"abc"
        if error is None:
            yield "text"  # type: ignore[misc] # what a careless handler does
        else:
            raise error

    async def main() -> None:
        async with serving(streaming(chunks)) as served:
            client = await served.connect()
            await client.send(request_bytes)
            with pytest.raises(ConnectionResetError):
                await client.reader.read()
            faults = [event for event in served.events if isinstance(event, InternalFault)]
            assert len(faults) == (1 if error is None or isinstance(error, ValueError) else 0)
            assert 200 == (await (await served.connect()).head_of(GET))

    run(main())


def test_what_is_no_body_is_a_fault(run: Run) -> None:
    """A handler that returns text gets told, and its client 500."""

    async def handler(request: Request) -> Response:
        return Response(status=200, body="text")  # type: ignore[arg-type] # what a careless handler does

    async def main() -> None:
        async with serving(handler) as served:
            assert 500 == (await (await served.connect()).ask(GET)).status
            (event,) = served.events
            assert isinstance(event, InternalFault)

    run(main())


class Watched:
    """An endless body that knows how it ended."""

    def __init__(self, size: int = 64 * 1024) -> None:
        self.closed = asyncio.Event()
        self.made = 0
        self._piece = bytes(size)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Never waits for anything, and never ends."""
        try:
            while True:
                self.made += len(self._piece)
                yield self._piece
        finally:
            self.closed.set()


def test_a_client_that_does_not_read_stops_the_handler(run: Run) -> None:
    """50 MiB are not made for nobody; what waits in the transport is bounded; it ends with the client."""

    async def main() -> None:
        body = Watched()
        async with serving(streaming(body.chunks)) as served:
            client = await served.connect()
            client.stop_reading()
            await client.send(GET)
            made = -1
            while made != body.made or not made:
                made = body.made
                await asyncio.sleep(0.05)
            connection = served.connection
            assert connection._transport.get_write_buffer_size() <= 256 * 1024
            assert made < 50 * MIB
            client.close()
            await body.closed.wait()

    run(main())


def test_a_large_body_of_bytes_is_given_out_in_pieces(run: Run) -> None:
    """The transport never holds a second copy of it."""

    async def handler(request: Request) -> Response:
        return Response(status=200, body=bytes(50 * MIB))

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            await client.send(GET)
            connection = served.connection
            most = received = 0
            await client.head()
            while received < 50 * MIB:
                received += len(await client.reader.read(MIB))
                most = max(most, connection._transport.get_write_buffer_size())
            assert most <= 256 * 1024
            assert 200 == (await client.head_of(GET))

    run(main())


def test_a_stream_that_never_waits_leaves_the_loop_to_others(run: Run) -> None:
    """Between two of its pieces everyone else has a turn, however fast its client reads."""

    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def chunks() -> AsyncIterator[bytes]:
            seen = set()
            for number in range(100):
                seen.add(turns)
                yield b"x"
                assert len(seen) >= number

        counting = asyncio.create_task(count())
        async with serving(streaming(chunks)) as served:
            assert b"x" * 100 == (await (await served.connect()).ask(GET)).body
            assert [] == served.events
        counting.cancel()

    run(main())


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
def test_a_body_that_is_not_sent_is_closed(run: Run, method: bytes) -> None:
    """HEAD and 204 never ask it for anything; what it holds is freed all the same."""

    class Closable:
        def __init__(self) -> None:
            self.closed = asyncio.Event()

        def __aiter__(self) -> Closable:
            return self

        async def __anext__(self) -> bytes:
            raise AssertionError("nobody reads this")

        async def aclose(self) -> None:
            self.closed.set()

    async def main() -> None:
        body = Closable()

        async def handler(request: Request) -> Response:
            return Response(status=200 if request.method == "HEAD" else 204, body=body)

        async with serving(handler) as served:
            client = await served.connect()
            for _ in range(2):
                answer = await client.ask(GET.replace(b"GET", method), "HEAD")
                assert answer.status in {200, 204}
                assert answer.header(b"transfer-encoding") is None
                await body.closed.wait()

    run(main())


def test_a_client_that_does_not_read_is_cut_off_in_time(run: Run) -> None:
    """What stays unread for `write_timeout` is the client's last; its handler is cancelled."""

    async def main() -> None:
        body = Watched()
        async with serving(streaming(body.chunks), DoorLimits(write_timeout=0.1)) as served:
            client = await served.connect()
            client.stop_reading()
            await client.send(GET)
            await body.closed.wait()
            await served.until_connections(0)

    run(main())


def test_pipelined_answers_wait_for_their_reader(run: Run) -> None:
    """Small answers to a client that never reads do not pile up either."""

    async def main() -> None:
        asked = 0

        async def handler(request: Request) -> Response:
            nonlocal asked
            asked += 1
            return Response(status=200, body=bytes(16 * 1024))

        async with serving(handler, DoorLimits(write_timeout=0.2)) as served:
            client = await served.connect()
            client.stop_reading()
            await client.send(GET * 5000)
            connection = served.connection
            while served.door.connections:
                assert connection._transport.get_write_buffer_size() <= 256 * 1024
                await asyncio.sleep(0.01)
            assert asked < 5000

    run(main())
