"""Servers that mean harm: whatever they say, it costs the guest's request and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.backends import Run, Serve, backend, silent
from net.requesting import OK, Guest, Words, answer_of, body_of, guest_of, saying, unanswered
from serverless_wasm.limits import KIB, MIB
from serverless_wasm.net.call import Times
from serverless_wasm.net.unanswered import Unanswered


def endless(start: bytes, piece: bytes) -> Serve:
    """A server that goes on and on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()

    return serve


@pytest.mark.parametrize(
    ("start", "piece", "kinds"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, ("http_protocol_error",)),
        (b"", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", ("http_protocol_error",)),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000, ("http_response_header_section_size",)),
        (b"HTTP/1.1 200 OK\r\na: ", b"b" * 1000, ("http_response_header_section_size",)),
        (b"HTTP/1.1 200 ", b"O" * 1000, ("http_response_header_section_size",)),
        (b"", b"\r\n" * 1000, ("http_response_header_section_size", "http_protocol_error")),
        (b"", b"garbage\r\n", ("http_protocol_error", "http_response_header_section_size")),
        (b"", b"\x16\x03\x01\x00\x00" * 100, ("http_protocol_error", "http_response_header_section_size")),
    ],
    ids=["100", "101", "fields", "value", "reason", "empty lines", "garbage", "TLS"],
)
def test_heads_without_an_end(start: bytes, piece: bytes, kinds: tuple[str, ...], run: Run) -> None:
    """A head is as large as it may be, then the connection is closed."""

    async def main() -> None:
        async with guest_of(endless(start, piece)) as (guest, port):
            with unanswered(*kinds):
                await guest.get(port)
            assert guest.outbound.open == 0

    run(main())


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: \x00\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"hello",
    ],
)
def test_heads_that_are_none(head: bytes, run: Run) -> None:
    """What is no head of RFC 9112, or has two readings, is no response."""

    async def main() -> None:
        async with guest_of(saying(head)) as (guest, port):
            with pytest.raises(Unanswered):
                await guest.get(port)
            assert guest.outbound.open == 0

    run(main())


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhel",
        b"5\r\nhelloX\r\n",
        b"x\r\n",
        b"-5\r\nhello\r\n",
        b"5;" + b"x" * 99_999,
        b"FFFFFFFFFFFFFFFFFFFFFFF\r\n",
    ],
    ids=["cut", "no line end", "no size", "negative", "extension", "huge"],
)
def test_chunks_that_are_none(body: bytes, run: Run) -> None:
    """A body that does not end as it should never ends cleanly."""

    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        async with guest_of(saying(head + body)) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            with pytest.raises(Unanswered):
                await answer_of(exchange)
            assert guest.outbound.open == 0

    run(main())


def test_a_body_cut_short(run: Run) -> None:
    """What arrived is given, then the failure, for good."""

    async def main() -> None:
        async with guest_of(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello")) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            await exchange.answered()
            assert await exchange.next() == b"hello"
            for _ in range(2):
                with unanswered("http_response_incomplete"):
                    await exchange.next()

    run(main())


def test_a_body_without_an_end(run: Run) -> None:
    """The guest gets what it may receive in one request, and then an error."""

    async def main() -> None:
        serve = endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 64 * KIB)
        async with guest_of(serve, socket_received=1 * MIB) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            received = 0
            with unanswered("http_response_body_size"):
                while piece := await exchange.next():
                    received += len(piece)
            assert 0.9 * MIB < received <= MIB

    run(main())


def test_limits_are_those_of_a_request_not_of_a_connection(run: Run) -> None:
    """A connection that is used again gives each request all that it may receive and send."""

    async def main() -> None:
        body = b"x" * 3000
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3000\r\n\r\n" + body
        serve = saying(*[answer] * 3, close=False)
        async with guest_of(serve, socket_received=4000, socket_sent=200) as (guest, port):
            for _ in range(3):
                assert await guest.get(port) == (200, body)
            assert guest.outbound.open == 1

    run(main())


def test_more_than_may_be_sent(run: Run) -> None:
    """The request ends before a byte more goes out."""

    async def main() -> None:
        async with guest_of(saying(b"", close=False), socket_sent=1000) as (guest, port):
            exchange = guest.client.send(guest.call(port, b"POST"), Words(b"x" * 500, b"x" * 500))
            await exchange.answered()
            with unanswered("http_request_body_size"):
                exchange.result()

    run(main())


@pytest.mark.parametrize("size", [1, 2])
def test_tiny_chunks_do_not_keep_the_loop(size: int, run: Run) -> None:
    """A body in chunks of a byte is taken apart a little at a time; others have their turns meanwhile."""

    async def main() -> None:
        count = 20_000
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        chunk = b"%x\r\n%b\r\n" % (size, b"x" * size)
        async with guest_of(saying(head + chunk * count + b"0\r\n\r\n")) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            await exchange.answered()
            pieces = []
            while piece := await exchange.next():
                pieces.append(len(piece))
            assert sum(pieces) == size * count
            assert max(pieces) <= 64 * size

    run(main())


def test_silence(run: Run) -> None:
    """A server that accepts and says nothing is given up at the deadline."""

    async def main() -> None:
        guest = Guest(socket_timeout=0.02)
        with silent() as target, unanswered("connection_read_timeout"):
            await guest.get(int(target.partition(b":")[2]))
        assert guest.outbound.open == 0

    run(main())


def test_a_head_that_drips(run: Run) -> None:
    """The deadline is for the whole head: a byte now and then does not put it off."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"a: b\r\n")
            await asyncio.sleep(0.005)

    async def main() -> None:
        async with guest_of(serve, socket_timeout=0.05) as (guest, port):
            with unanswered("connection_read_timeout"):
                await guest.get(port)

    run(main())


def test_a_body_that_stops(run: Run) -> None:
    """The guest may wait between two pieces as long as it has said."""

    async def main() -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"
        async with guest_of(saying(head, close=False)) as (guest, port):
            times = Times.of(guest.limits, between_bytes=0.02)
            exchange = guest.client.send(guest.call(port, times=times))
            await exchange.answered()
            assert await exchange.next() == b"hello"
            with unanswered("connection_read_timeout"):
                await exchange.next()
            assert guest.outbound.open == 0

    run(main())


def test_a_slow_upload_does_not_count_as_a_slow_answer(run: Run) -> None:
    """The time for the response begins once the request has been sent."""
    go_on = asyncio.Event()

    class Slow(Words):
        async def take(self) -> bytes:
            await go_on.wait()
            return await super().take()

    async def main() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"0\r\n\r\n")
            writer.write(OK)

        async with guest_of(serve, socket_timeout=0.05) as (guest, port):
            exchange = guest.client.send(guest.call(port, b"POST"), Slow(b"x"))
            await asyncio.wait({asyncio.ensure_future(exchange.answered())}, timeout=0.15)
            assert not exchange.is_answered
            go_on.set()
            assert await answer_of(exchange) == (200, b"hello")

    run(main())


def test_a_server_that_goes_while_it_is_written_to(run: Run) -> None:
    """The guest's body has no taker any more, and there is no answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    class Endless(Words):
        async def take(self) -> bytes:
            await asyncio.sleep(0)
            return b"x" * 1000

    async def main() -> None:
        async with guest_of(serve) as (guest, port):
            upload = Endless()
            exchange = guest.client.send(guest.call(port, b"POST"), upload)
            await exchange.answered()
            with unanswered("connection_terminated"):
                exchange.result()
            assert upload.is_shut

    run(main())


_WORDS = (
    b"HTTP/1.1 200 OK\r\n", b"\r\n", b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n",
    b"3\r\nabc\r\n", b"0\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"connection: close\r\n", b"abc",
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(_WORDS),
        ),
        max_size=8,
    )
)
def test_any_answer_ends(pieces: list[bytes]) -> None:
    """Whatever a server says before it goes, there is a response or a reason, and nothing is left open."""

    async def main() -> None:
        async with guest_of(saying(b"".join(pieces)), socket_timeout=1.0) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            await exchange.answered()
            try:
                exchange.result()
                await body_of(exchange)
            except Unanswered:
                pass
            assert guest.sockets.exchanges == set()

    asyncio.run(main())


def test_cancelled_reads_lose_nothing(run: Run) -> None:
    """A guest that stops waiting for more of a body, and begins again, gets every byte once."""
    pieces = [bytes([number]) * 1000 for number in range(50)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async def main() -> None:
        async with backend(serve) as port:
            guest = Guest()
            exchange = guest.client.send(guest.call(port))
            await exchange.answered()
            data = b""
            while len(data) < 50_000:
                read = asyncio.ensure_future(exchange.next())
                await asyncio.sleep(0)
                if not read.done():
                    read.cancel()
                await asyncio.wait({read})
                data += b"" if read.cancelled() else read.result()
            assert data == b"".join(pieces)
            exchange.close()
            guest.network.close()

    run(main())
