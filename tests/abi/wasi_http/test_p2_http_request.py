"""wasi:http/types and outgoing-handler: requests that a guest makes, and the responses it waits for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from abi.wasi_http.speaking import Speaker
from net.backends import Serve, backend
from net.requesting import OK, Recording, saying
from serverless_wasm.abi.stream import PIPE
from serverless_wasm.abi.wasi_http import http_errors
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.errors import GuestTrap
from serverless_wasm.limits import MIB
from serverless_wasm.net import unanswered

LOCAL = ("*://127.0.0.0/8:*",)


@asynccontextmanager
async def guest_of(serve: Serve, **limits: Any) -> AsyncIterator[tuple[Speaker, int]]:
    """A guest that may ask a server; nothing of its connections is left afterwards."""
    async with backend(serve) as port:
        guest = Speaker(allowed=LOCAL, **limits)
        yield guest, port
        guest.close()
        await asyncio.sleep(0)
        assert guest.outbound.open == 0


def request_to(guest: Speaker, port: int, *fields: tuple[str, bytes], method: str = "get") -> int:
    """A handle of a request."""
    request: int = guest("[constructor]outgoing-request", guest.fields(*fields))
    assert guest("[method]outgoing-request.set-method", request, (method, None)) == Ok()
    assert guest("[method]outgoing-request.set-scheme", request, ("HTTP", None)) == Ok()
    assert guest("[method]outgoing-request.set-authority", request, f"127.0.0.1:{port}") == Ok()
    assert guest("[method]outgoing-request.set-path-with-query", request, "/a?b=c") == Ok()
    return request


async def response_to(guest: Speaker, request: int, options: int | None = None) -> Any:
    """What a request is answered with: Ok of a handle, or Err of a code."""
    handled = guest("handle", request, options)
    if isinstance(handled, Err):
        return handled
    pollable = guest("[method]future-incoming-response.subscribe", handled.value)
    await guest.wait("[method]pollable.block", pollable)
    guest.drop(pollable)
    got = guest("[method]future-incoming-response.get", handled.value)
    assert guest("[method]future-incoming-response.get", handled.value) == Err()
    guest.drop(handled.value)
    assert isinstance(got, Ok)
    return got.value


async def body_of(guest: Speaker, response: int) -> bytes:
    """All of it; what it was read from is dropped."""
    body = guest("[method]incoming-response.consume", response).value
    stream = guest("[method]incoming-body.stream", body).value
    data = await guest.read(stream)
    guest.drop(stream)
    guest.drop(body)
    return data


# What a request may be


def test_a_new_request() -> None:
    """It is a GET of nothing said."""
    guest = Speaker()
    request = guest("[constructor]outgoing-request", guest.fields())

    assert guest("[method]outgoing-request.method", request) == ("get", None)
    assert guest("[method]outgoing-request.path-with-query", request) is None
    assert guest("[method]outgoing-request.scheme", request) is None
    assert guest("[method]outgoing-request.authority", request) is None


@pytest.mark.parametrize(
    ("what", "good", "bad"),
    [
        ("method", [("patch", None), ("other", "PURGE")], [("other", ""), ("other", "A B"), ("other", "é")]),
        (
            "path-with-query",
            [None, "", "/", "/a?b", "?a", "*", "/%20{}", "/~"],
            ["a", "/a b", "/#", "/é", "/\r\nx: y", "/\x7f", "**"],
        ),
        (
            "scheme",
            [None, ("HTTP", None), ("other", "ftp")],
            [("other", ""), ("other", "1x"), ("other", "a b")],
        ),
        (
            "authority",
            [None, "a", "a:1", "[::1]", "[::1]:65535", "a.b:0"],
            ["", ":1", "a:", "a:x", "a:65536", "u@a", "a b", "é", "a/", "[::1", "a\r\n"],
        ),
    ],
)
def test_properties(what: str, good: list[Any], bad: list[Any]) -> None:
    """What fits its grammar is kept and given back, what does not changes nothing."""
    guest = Speaker()
    request = guest("[constructor]outgoing-request", guest.fields())

    for value in good:
        assert guest(f"[method]outgoing-request.set-{what}", request, value) == Ok()
        assert guest(f"[method]outgoing-request.{what}", request) == value
        for wrong in bad:
            assert guest(f"[method]outgoing-request.set-{what}", request, wrong) == Err()
        assert guest(f"[method]outgoing-request.{what}", request) == value


@pytest.mark.parametrize("what", ["connect-timeout", "first-byte-timeout", "between-bytes-timeout"])
def test_options(what: str) -> None:
    """Nothing is said at first; what is said is given back."""
    guest = Speaker()
    options = guest("[constructor]request-options")

    assert guest(f"[method]request-options.{what}", options) is None
    assert guest(f"[method]request-options.set-{what}", options, 2**63) == Ok()
    assert guest(f"[method]request-options.{what}", options) == 2**63
    assert guest(f"[method]request-options.set-{what}", options, None) == Ok()
    assert guest(f"[method]request-options.{what}", options) is None


Change = Callable[[Speaker, int], None]


def setting(what: str, value: Any) -> Change:
    """Changes one property."""

    def change(guest: Speaker, request: int) -> None:
        assert guest(f"[method]outgoing-request.set-{what}", request, value) == Ok()

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (setting("method", ("connect", None)), "HTTP-request-method-invalid"),
        (setting("method", ("other", "Connect")), "HTTP-request-method-invalid"),
        (setting("scheme", ("other", "ftp")), "HTTP-protocol-error"),
        (setting("authority", None), "HTTP-request-URI-invalid"),
        (setting("authority", "127.1"), "HTTP-request-URI-invalid"),
        (setting("authority", "a:0"), "HTTP-request-URI-invalid"),
    ],
)
def test_requests_that_are_none(change: Change, code: str) -> None:
    """They are refused at once, with the code that says why."""
    guest = Speaker(allowed=LOCAL)
    request = request_to(guest, 1)
    change(guest, request)

    assert guest("handle", request, None) == Err((code, None))
    assert guest.outbound.open == 0


# A request and its response


def test_a_request_and_its_response() -> None:
    """It is sent as it was made, and the guest gets status, fields and body."""

    async def main() -> None:
        server = Recording(
            b"HTTP/1.1 201 Made\r\nX-A: 1\r\nconnection: x-b\r\nx-b: 2\r\ncontent-length: 2\r\n\r\nok"
        )
        async with guest_of(server) as (guest, port):
            response = (await response_to(guest, request_to(guest, port, ("X-C", b" 3 ")))).value
            assert guest("[method]incoming-response.status", response) == 201
            headers = guest("[method]incoming-response.headers", response)
            assert guest("[method]fields.entries", headers) == [("X-A", b"1"), ("content-length", b"2")]
            assert guest("[method]fields.append", headers, "a", b"") == Err(("immutable", None))
            assert await body_of(guest, response) == b"ok"
            assert guest("[method]incoming-response.consume", response) == Err()
            (head,) = server.heads[0]
            assert head.startswith(b"GET /a?b=c HTTP/1.1\r\n")
            assert b"X-C: 3\r\n" in head

    asyncio.run(main())


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends a request's body back, with its framing and its trailers."""
    while True:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
        except asyncio.IncompleteReadError:
            return
        if b"content-length: " in head:
            size = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
            writer.write(await reader.readexactly(size))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            while (line := await reader.readline()) != b"0\r\n":
                writer.write(line + await reader.readexactly(int(line, 16) + 2))
                await writer.drain()
            writer.write(line)
            while (line := await reader.readline()) != b"\r\n":
                writer.write(line)
            writer.write(line)
        await writer.drain()


def posting(guest: Speaker, port: int, *fields: tuple[str, bytes]) -> tuple[int, int, int]:
    """Handles of a POST, its body, and what that is written to."""
    request = request_to(guest, port, *fields, method="post")
    body = guest("[method]outgoing-request.body", request).value
    assert guest("[method]outgoing-request.body", request) == Err()
    return request, body, guest("[method]outgoing-body.write", body).value


@pytest.mark.parametrize("fields", [(), (("content-length", b"5"),)], ids=["counted", "declared"])
def test_a_body_that_is_finished_first(fields: tuple[tuple[str, bytes], ...]) -> None:
    """Its length is sent with the head."""

    async def main() -> None:
        async with guest_of(_echo) as (guest, port):
            request, body, stream = posting(guest, port, *fields)
            await guest.write(stream, b"hello")
            assert guest.finish(body, stream) == Ok()
            response = (await response_to(guest, request)).value
            headers = guest("[method]incoming-response.headers", response)
            assert guest("[method]fields.get", headers, "content-length") == [b"5"]
            assert await body_of(guest, response) == b"hello"

    asyncio.run(main())


def test_bodies_in_both_directions_at_once() -> None:
    """A guest that reads as it writes gets far more through than is kept anywhere."""

    async def main() -> None:
        async with guest_of(_echo) as (guest, port):
            request, body, stream = posting(guest, port)
            future = guest("handle", request, None).value
            await guest.wait(
                "[method]pollable.block", guest("[method]future-incoming-response.subscribe", future)
            )
            response = guest("[method]future-incoming-response.get", future).value.value
            incoming = guest("[method]incoming-response.consume", response).value
            reading = guest("[method]incoming-body.stream", incoming).value

            async def send() -> None:
                for number in range(32):
                    await guest.write(stream, bytes([number]) * PIPE)
                assert guest.finish(body, stream) == Ok()

            sending = asyncio.ensure_future(send())
            data = await guest.read(reading)
            await sending
            assert data == b"".join(bytes([number]) * PIPE for number in range(32))

    asyncio.run(main())


def test_trailers_in_both_directions() -> None:
    """Those of the request reach the server, and those of the response the guest."""

    async def main() -> None:
        async with guest_of(_echo) as (guest, port):
            request, body, stream = posting(guest, port)
            await guest.write(stream, b"hello")
            assert guest.finish(body, stream, guest.fields(("Sum", b"7"))) == Ok()
            response = (await response_to(guest, request)).value
            incoming = guest("[method]incoming-response.consume", response).value
            future = guest("[static]incoming-body.finish", incoming)
            await guest.wait("[method]pollable.block", guest("[method]future-trailers.subscribe", future))
            trailers = guest("[method]future-trailers.get", future).value.value
            assert guest("[method]fields.entries", trailers) == [("Sum", b"7")]
            assert guest("[method]future-trailers.get", future) == Err()

    asyncio.run(main())


def test_a_guest_waits_for_a_server_that_does_not_read() -> None:
    """A pipe is full, and the guest is told so; the deadline of the limits ends the request."""

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.Event().wait()

    async def main() -> None:
        async with guest_of(serve, socket_timeout=0.2, socket_sent=64 * MIB) as (guest, port):
            request, _, stream = posting(guest, port)
            future = guest("handle", request, None).value
            result: Any = Ok()
            while result == Ok():
                result = await guest.wait(
                    "[method]output-stream.blocking-write-and-flush", stream, b"x" * 4096
                )
            assert result == Err(("closed", None))
            await guest.wait(
                "[method]pollable.block", guest("[method]future-incoming-response.subscribe", future)
            )
            got = guest("[method]future-incoming-response.get", future)
            assert got == Ok(Err(("connection-write-timeout", None)))

    asyncio.run(main())


def test_a_body_of_another_length_breaks_the_request_off() -> None:
    """The guest is told twice: by `finish`, and by the request that has no answer."""

    async def main() -> None:
        async with guest_of(saying(b"", close=False)) as (guest, port):
            request, body, stream = posting(guest, port, ("content-length", b"9"))
            await guest.write(stream, b"hello")
            future = guest("handle", request, None).value
            assert guest.finish(body, stream) == Err(("HTTP-request-body-size", 5))
            await guest.wait(
                "[method]pollable.block", guest("[method]future-incoming-response.subscribe", future)
            )
            got = guest("[method]future-incoming-response.get", future)
            assert got == Ok(Err(("HTTP-protocol-error", None)))

    asyncio.run(main())


# Failures


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "connection-terminated"),
        (b"what?\r\n\r\n", "HTTP-protocol-error"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "HTTP-response-header-section-size"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP-protocol-error"),
    ],
)
def test_servers_that_do_not_answer(answer: bytes, code: str) -> None:
    """The future has the code."""

    async def main() -> None:
        async with guest_of(saying(answer)) as (guest, port):
            assert await response_to(guest, request_to(guest, port)) == Err((code, None))

    asyncio.run(main())


def test_what_the_policy_refuses() -> None:
    """The guest is told that it was refused, the log what to write."""

    async def main() -> None:
        guest = Speaker(allowed=("http://127.0.0.1:1",))
        assert await response_to(guest, request_to(guest, 2)) == Err(("HTTP-request-denied", None))
        assert 'allowed_outbound_hosts = ["http://127.0.0.1:2"]' in str(guest.events)

    asyncio.run(main())


def test_one_request_too_many() -> None:
    """It is refused by the call itself, and its body has no taker."""

    async def main() -> None:
        async with guest_of(saying(b"", close=False), sockets=1) as (guest, port):
            assert isinstance(guest("handle", request_to(guest, port), None), Ok)
            request, _, stream = posting(guest, port)
            assert guest("handle", request, None) == Err(("connection-limit-reached", None))
            assert guest("[method]output-stream.check-write", stream) == Err(("closed", None))

    asyncio.run(main())


def test_the_guests_own_deadline() -> None:
    """A guest that will not wait is told so when its time is over."""

    async def main() -> None:
        async with guest_of(saying(b"", close=False)) as (guest, port):
            options = guest("[constructor]request-options")
            guest("[method]request-options.set-first-byte-timeout", options, 10_000_000)
            found = await response_to(guest, request_to(guest, port), options)
            assert found == Err(("connection-read-timeout", None))

    asyncio.run(main())


def test_a_stream_that_fails_says_why() -> None:
    """`http-error-code` finds the code in the error of the stream, and in no other error."""

    async def main() -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"
        async with guest_of(saying(answer)) as (guest, port):
            response = (await response_to(guest, request_to(guest, port))).value
            body = guest("[method]incoming-response.consume", response).value
            stream = guest("[method]incoming-body.stream", body).value
            read = await guest.wait("[method]input-stream.blocking-read", stream, 99)
            assert read == Ok(b"hello")
            failed = await guest.wait("[method]input-stream.blocking-read", stream, 99)
            name, error = failed.value
            assert name == "last-operation-failed"
            assert guest("http-error-code", error) == ("HTTP-response-incomplete", None)
            assert guest("[method]input-stream.read", stream, 9) == Err(("closed", None))
            guest.drop(stream)
            future = guest("[static]incoming-body.finish", body)
            got = guest("[method]future-trailers.get", future)
            assert got == Ok(Err(("HTTP-response-incomplete", None)))

    asyncio.run(main())


def test_every_failure_has_a_code() -> None:
    """No word of net/ is unknown to a guest, and no code is without its word or another error's."""
    words: set[str] = set()
    for path in Path(unanswered.__file__).parent.glob("*.py"):
        words |= set(re.findall(r'"((?:dns|destination|connection|tls|http)_[a-z_]+)"', path.read_text()))
    cases = dict(http_errors.ERROR_CODE.cases)

    codes = {word: http_errors.code_of(unanswered.Unanswered(word, "")) for word in words}

    assert len(codes) > 15
    assert all(code[0] in cases for code in codes.values())
    assert set(http_errors._STATUSES) <= set(cases)


# What is dropped


@pytest.mark.parametrize("when", ["future", "response", "body"])
def test_what_is_dropped_is_closed(when: str) -> None:
    """The connection goes as soon as nobody can read from it."""

    async def main() -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello"
        async with guest_of(saying(answer, close=False)) as (guest, port):
            future = guest("handle", request_to(guest, port), None).value
            if when != "future":
                await guest.wait(
                    "[method]pollable.block", guest("[method]future-incoming-response.subscribe", future)
                )
                guest.drop(3)
                response = guest("[method]future-incoming-response.get", future).value.value
                last = response
                if when == "body":
                    last = guest("[method]incoming-response.consume", response).value
                guest.drop(last)
            else:
                guest.drop(future)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert guest.outbound.open == 0

    asyncio.run(main())


def test_a_future_is_dropped_after_what_waits_for_it() -> None:
    """Dropping it earlier ends the guest."""

    async def main() -> None:
        async with guest_of(saying(OK, close=False)) as (guest, port):
            future = guest("handle", request_to(guest, port), None).value
            guest("[method]future-incoming-response.subscribe", future)
            with pytest.raises(GuestTrap):
                guest.drop(future)

    asyncio.run(main())


async def _many(guest: Speaker, port: int) -> None:
    for _ in range(3):
        response = (await response_to(guest, request_to(guest, port))).value
        assert await body_of(guest, response) == b"hello"
        guest.drop(response)


def test_requests_of_one_guest_share_a_connection() -> None:
    """One after the other they go over the same."""

    async def main() -> None:
        server = Recording()
        async with guest_of(server) as (guest, port):
            await _many(guest, port)
            assert [len(heads) for heads in server.heads] == [3]

    asyncio.run(main())
