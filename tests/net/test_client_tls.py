"""HTTPS requests of guests: whom they trust, and what becomes of connections that are cut off."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trustme

from net.backends import Run, Serve, backend
from net.requesting import ANYWHERE, OK, Guest, Recording, Words, answer_of, saying, unanswered
from serverless_wasm.net.call import Times
from serverless_wasm.net.tcp import Network
from serverless_wasm.net.tls import trusting_the_system


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Whom guests trust."""
    return trustme.CA()


@asynccontextmanager
async def secure(serve: Serve, issued: trustme.LeafCert) -> AsyncIterator[int]:
    """A TLS server with that certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def trusting(authority: trustme.CA) -> Guest:
    """A guest whose system trusts it."""

    def trust() -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        return context

    return Guest(ANYWHERE, Network(trust=trust))


def test_a_request(authority: trustme.CA, run: Run) -> None:
    """It goes over TLS 1.2 or later, and its connection is used again."""

    async def main() -> None:
        server = Recording()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        async with secure(server, issued) as port:
            guest = trusting(authority)
            for _ in range(3):
                assert await guest.get(port, scheme="https", host=b"127.0.0.1") == (200, b"hello")
            assert [len(heads) for heads in server.heads] == [3]
            guest.network.close()
            assert guest.outbound.open == 0

    run(main())


def test_large_bodies_in_both_directions(authority: trustme.CA, run: Run) -> None:
    """Whatever the sizes of records, each byte arrives once."""
    data = bytes(range(256)) * 4096

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(data))
        left = len(data)
        while left:
            piece = await reader.read(50_000)
            left -= len(piece)
            writer.write(piece)
            await writer.drain()

    async def main() -> None:
        async with secure(serve, authority.issue_cert("127.0.0.1")) as port:
            guest = trusting(authority)
            upload = Words(
                *[data[at : at + 70_000] for at in range(0, len(data), 70_000)], declared=len(data)
            )
            exchange = guest.client.send(guest.call(port, b"POST", scheme="https"), upload)
            assert await answer_of(exchange) == (200, data)
            guest.network.close()

    run(main())


@pytest.mark.parametrize("names", [("other.example",), ("127.0.0.2",)])
def test_a_certificate_of_another_name(names: tuple[str, ...], authority: trustme.CA, run: Run) -> None:
    """It is refused before a byte of the request is sent."""

    async def main() -> None:
        server = Recording()
        async with secure(server, authority.issue_cert(*names)) as port:
            guest = trusting(authority)
            with unanswered("tls_certificate_error"):
                await guest.get(port, scheme="https")
            assert server.heads == []
            assert guest.outbound.open == 0

    run(main())


def test_a_certificate_of_nobody(run: Run) -> None:
    """What the system does not trust is refused, and so it is by default."""

    async def main() -> None:
        async with secure(Recording(), trustme.CA().issue_cert("127.0.0.1")) as port:
            guest = Guest()
            with unanswered("tls_certificate_error"):
                await guest.get(port, scheme="https")

    run(main())


def test_a_server_that_speaks_no_tls(authority: trustme.CA, run: Run) -> None:
    """Its answer is no handshake."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(OK)

    async def main() -> None:
        async with backend(serve) as port:
            guest = trusting(authority)
            with unanswered("tls_protocol_error", "connection_terminated"):
                await guest.get(port, scheme="https")
            assert guest.outbound.open == 0

    run(main())


def test_a_server_that_refuses(authority: trustme.CA, run: Run) -> None:
    """Its alert is told apart from a failure of our own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"\x15\x03\x03\x00\x02\x02\x28")  # RFC 8446 section 6: fatal, handshake_failure

    async def main() -> None:
        async with backend(serve) as port:
            guest = trusting(authority)
            with unanswered("tls_alert_received"):
                await guest.get(port, scheme="https")

    run(main())


def test_a_handshake_that_does_not_end(authority: trustme.CA, run: Run) -> None:
    """Look-up, connection and handshake have one deadline."""

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def main() -> None:
        async with backend(serve) as port:
            guest = trusting(authority)
            guest.limits = Guest(connect_timeout=0.05).limits
            with unanswered("connection_timeout"):
                await guest.get(port, scheme="https", times=Times.of(guest.limits))
            assert guest.outbound.open == 0

    run(main())


def test_a_body_that_is_cut_off_has_not_ended(authority: trustme.CA, run: Run) -> None:
    """Without a length an end has to be said by TLS itself, or somebody may have cut the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await writer.drain()
        with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as raw:
            raw.shutdown(socket.SHUT_WR)  # without a word of TLS
        await reader.read()

    async def main() -> None:
        async with secure(serve, authority.issue_cert("127.0.0.1")) as port:
            guest = trusting(authority)
            with unanswered("connection_terminated"):
                await guest.get(port, scheme="https")

    run(main())


def test_an_end_that_is_said(authority: trustme.CA, run: Run) -> None:
    """A body may end with the connection."""

    async def main() -> None:
        answer = b"HTTP/1.1 200 OK\r\n\r\nhello"
        async with secure(saying(answer), authority.issue_cert("127.0.0.1")) as port:
            guest = trusting(authority)
            assert await guest.get(port, scheme="https") == (200, b"hello")
            assert guest.outbound.open == 0

    run(main())


def test_the_system_is_asked_for_whom_it_trusts() -> None:
    """Certificates are required and names checked."""
    context = trusting_the_system()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
