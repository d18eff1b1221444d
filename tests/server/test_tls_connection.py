"""TLS at the HTTP/1.1 door: what passes through it, how it ends, and what one that means harm costs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.certificates import VERSIONS, ByHand, Issuer, refusals, serving_tls, speaking
from server.doors import GET, Client, Run, echo, hello, post, serving, stream_back, until
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Handler, Request, Response
from serverless_wasm.server.tls import open_context

MIB = 1024 * 1024

pytestmark = pytest.mark.usefixtures("quiet")


async def secure(request: Request) -> Response:
    """Says which scheme the request came by."""
    return Response(status=200, body=request.scheme.encode())


def test_a_connection_goes_on(run: Run, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Requests over TLS are answered in turn, say https, and the protocol is agreed on (RFC 7301)."""

    async def main() -> None:
        async with serving_tls(secure, tmp_path) as served:
            client = await served.connect_tls(speaking(served, version))
            tls = client.writer.get_extra_info("ssl_object")
            assert ("http/1.1", version.name.replace("_", ".")) == (
                tls.selected_alpn_protocol(),
                tls.version(),
            )
            for _ in range(3):
                answer = await client.ask(GET)
                assert (200, b"https") == (answer.status, answer.body)
            await client.send(GET * 3)
            for _ in range(3):
                assert b"https" == (await client.answer()).body
        assert not served.events

    run(main())


def test_a_plain_door_says_http(run: Run) -> None:
    """A request without TLS is not said to have it."""

    async def main() -> None:
        async with serving(secure) as served:
            assert b"http" == (await (await served.connect()).ask(GET)).body
            with pytest.raises(ValueError, match="without TLS"):
                served.door.renew(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    run(main())


@pytest.mark.parametrize("handler", [echo, stream_back])
def test_large_bodies(run: Run, tmp_path: Path, version: ssl.TLSVersion, handler: Handler) -> None:
    """Both ways, whole and in pieces, beyond every buffer."""
    body = bytes(range(256)) * 16 * 1024

    async def main() -> None:
        async with serving_tls(handler, tmp_path) as served:
            client = await served.connect_tls(speaking(served, version))
            for _ in range(2):
                sending = asyncio.ensure_future(
                    client.send(post(b"Content-Length: %d" % len(body), body=body))
                )
                assert body == (await client.answer("POST")).body
                await sending

    run(main())


def test_the_end_is_told_from_a_cut(run: Run, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A last answer is followed by close_notify: without it a client cannot trust a body that ends there."""

    async def main() -> None:
        async with serving_tls(stream_back, tmp_path) as served:
            client = ByHand(served, speaking(served, version))
            await client.shake()
            await client.send(client.sealed(b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello"))
            assert (await client.rest()).endswith(b"\r\n\r\nhello")
            assert b"" == await client.client.reader.read()
            client.client.close()
            await served.until_connections(0)

    run(main())


def test_an_answer_to_a_client_that_still_sends(run: Run, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """It is read although its request is refused half way: our side ends, theirs is read for a while."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            client = ByHand(served, speaking(served, version))
            await client.shake()
            await client.send(client.sealed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: what\r\n\r\n"))
            await until(lambda: bool(served.events))
            for _ in range(10):
                await client.send(client.sealed(bytes(10_000)))
            assert (await client.rest()).startswith(b"HTTP/1.1 ")
            assert 1 == served.door.connections
            client.client.close()
            await served.until_connections(0)

    run(main())


def test_a_client_that_leaves_ends_its_handler(run: Run, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """By close_notify, by FIN or by a reset; and the handler runs no more."""

    async def main() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def wait(request: Request) -> Response:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

        async with serving_tls(wait, tmp_path) as served:
            for way in ("close_notify", "fin", "reset"):
                begun.clear()
                ended.clear()
                client = ByHand(served, speaking(served, version))
                await client.shake()
                await client.send(client.sealed(GET))
                await begun.wait()
                await client.leave(way)
                await ended.wait()
                await served.until_connections(0)

    run(main())


@settings(max_examples=20)
@given(piece=st.integers(1, 400), version=st.sampled_from(VERSIONS))
def test_records_in_any_pieces(
    tmp_path_factory: pytest.TempPathFactory, piece: int, version: ssl.TLSVersion
) -> None:
    """Where a segment ends says nothing."""

    async def main() -> None:
        async with serving_tls(echo, tmp_path_factory.mktemp("tls", numbered=True)) as served:
            client = ByHand(served, speaking(served, version))
            await client.shake(piece)
            body = bytes(range(256)) * 8
            await client.send(client.sealed(post(b"Content-Length: 2048", body=body)), piece)
            answer = b""
            while not answer.endswith(body):
                answer += await client.text(1)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")

    asyncio.run(main())


@settings(max_examples=40)
@given(noise=st.binary(min_size=1, max_size=600), at=st.sampled_from(["first", "hello", "records"]))
def test_noise_ends_the_connection(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: str) -> None:
    """In the place of a ClientHello, after one, or among the records: nothing but an alert comes back."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path_factory.mktemp("tls", numbered=True)) as served:
            client = ByHand(served)
            if at == "records":
                await client.shake()
            else:
                client.client = await served.connect()
            if at == "hello":
                with pytest.raises(ssl.SSLWantReadError):
                    client.tls.do_handshake()
                await client.send(client.outgoing.read())
            await client.send(noise)
            client.client.writer.write_eof()
            assert b"HTTP/1.1 2" not in await client.client.ended()
            await served.until_connections(0)
            assert {0, 400} >= {status for status, *_ in refusals(served)}

    asyncio.run(main())


def test_plain_http_is_told_so(run: Run, tmp_path: Path) -> None:
    """A person who forgot the s reads it; a program that speaks something else is left alone."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            client = await served.connect()
            answer = await client.ask(GET)
            assert (400, b"close") == (answer.status, answer.header(b"connection"))
            assert b"https" in answer.body
            assert b"" == await client.ended()
            other = await served.connect()
            await other.send(b"\x00\x01\x02")
            assert b"" == await other.ended()
            await served.until_connections(0)
            assert [(400, "bad_request", "plain HTTP on a port that speaks TLS")] == refusals(served)

    run(main())


def test_tls_at_a_plain_door(run: Run, tmp_path: Path) -> None:
    """A ClientHello is no request: 400, and the connection ends."""

    async def main() -> None:
        issuer = Issuer(tmp_path)
        outgoing = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            issuer.client().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1").do_handshake()
        async with serving(hello) as served:
            client = await served.connect()
            assert 400 == (await client.ask(outgoing.read())).status
            assert b"" == await client.ended()

    run(main())


def test_a_new_certificate(run: Run, tmp_path: Path) -> None:
    """New handshakes get it, open connections go on, a bad one changes nothing."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:

            def shown(client: Client) -> bytes:
                der: bytes = client.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                return der

            old = await served.connect_tls()
            late = ByHand(served)
            late.client = await served.connect()
            await served.until_connections(2)
            tls = served.issuer.issue()  # over the files of the first
            served.door.renew(open_context(tls, served.events.append))
            new = await served.connect_tls()
            assert shown(old) != shown(new)
            for client in (old, new, old):
                assert b"GET /?" == (await client.ask(GET)).body
            assert shown(new) == shown(await served.connect_tls())

    run(main())


def test_silent_clients_are_closed(run: Run, tmp_path: Path) -> None:
    """One that says nothing, and one that stops in the middle, while a good one is served."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path, DoorLimits(header_timeout=0.5)) as served:
            good = await served.connect_tls()
            assert b"GET /?" == (await good.ask(GET)).body
            silent = [await served.connect() for _ in range(20)]
            for client in silent[10:]:
                await client.send(b"\x16\x03\x01\x02\x00\x01\x00")
            await served.until_connections(21)
            for client in silent:
                assert b"" == await client.ended()
            assert b"GET /?" == (await good.ask(GET)).body
            assert 1 == served.door.connections
            assert [] == refusals(served)

    run(main())


def test_handshakes_count_as_connections(run: Run, tmp_path: Path) -> None:
    """Beyond the limit the one that is silent longest makes room, and nobody who is answered does."""

    async def main() -> None:
        begun, end = asyncio.Event(), asyncio.Event()

        async def wait(request: Request) -> Response:
            begun.set()
            await end.wait()
            return await hello(request)

        async with serving_tls(wait, tmp_path, DoorLimits(connections=3)) as served:
            good = await served.connect_tls()
            await good.send(GET)
            await begun.wait()
            silent = [await served.connect() for _ in range(5)]
            for client in silent[:3]:
                assert b"" == await client.ended()
            assert 3 == served.door.connections
            again = await served.connect_tls()
            assert b"" == await silent[3].ended()
            end.set()
            assert b"GET /?" == (await again.ask(GET)).body
            assert b"GET /?" == (await good.answer()).body

    run(main())


def test_closing_lets_handshakes_end(run: Run, tmp_path: Path) -> None:
    """Whoever has said nothing is closed; a handshake in progress ends, and one answer follows."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            silent = await served.connect()
            busy = ByHand(served)
            busy.client = await served.connect()
            with pytest.raises(ssl.SSLWantReadError):
                busy.tls.do_handshake()
            await busy.send(busy.outgoing.read())
            busy.incoming.write(await busy.client.reader.read(65536))
            closing = asyncio.ensure_future(served.door.close(20))
            assert b"" == await silent.ended()
            assert not closing.done()
            busy.tls.do_handshake()
            await busy.send(busy.outgoing.read() + busy.sealed(GET))
            answer = b""
            while not answer.endswith(b"GET /?"):
                answer += await busy.text(1)
            assert b"connection: close" in answer
            busy.client.close()
            await closing

    run(main())


def test_closing_cuts_what_hangs(run: Run, tmp_path: Path) -> None:
    """A handshake that goes no further does not outlive the drain."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            client = await served.connect()
            await client.send(b"\x16\x03\x01\x02\x00\x01\x00")
            await served.until_connections(1)
            await served.door.close(0.01)
            assert 0 == served.door.connections
            assert b"" == await client.ended()

    run(main())


def test_a_client_that_does_not_read(run: Run, tmp_path: Path) -> None:
    """What we hold for it is bounded, and it is cut off when it has had its time."""
    sent = 0

    async def much(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65536
                yield bytes(65536)

        return Response(status=200, body=body())

    async def main() -> None:
        async with serving_tls(much, tmp_path, DoorLimits(write_timeout=0.3)) as served:
            client = await served.connect_tls()
            await client.send(GET)
            await client.head()
            client.stop_reading()
            await served.until_connections(0)
            assert sent < 16 * MIB

    run(main())
