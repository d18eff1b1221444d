"""wasi:http/types, messages that come in: what a guest learns of its request, and how it reads the body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abi.wasi_http.speaking import Speaker, asked
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.errors import BadRequest, BodyTooLarge, GuestTrap
from serverless_wasm.messages import Body
from serverless_wasm.server.head import split_target


def incoming(name: str, **fields: Any) -> Any:
    """What a getter says of a request."""
    guest = Speaker(asked(**fields))
    return guest(f"[method]incoming-request.{name}", guest.request)


@pytest.mark.parametrize(
    ("method", "seen"),
    [
        ("GET", ("get", None)),
        ("PATCH", ("patch", None)),
        ("get", ("other", "get")),
        ("X-1", ("other", "X-1")),
    ],
)
def test_method(method: str, seen: tuple[str, str | None]) -> None:
    """Known methods have a case of their own, which is that of the protocol; all others are text."""
    assert incoming("method", method=method) == seen


@pytest.mark.parametrize(
    ("path", "query", "seen"),
    [
        ("/", "", "/"),
        ("/a/b;c=d", "x=%20&y", "/a/b;c=d?x=%20&y"),
        ("/é ?#%", "", "/%C3%A9%20%3F%23%25"),
        ("*", "", "*"),
        ("/", "a=\x80 é", "/?a=%80%20%E9"),
    ],
)
def test_path_with_query(path: str, query: str, seen: str) -> None:
    """The path is encoded again where it must be, the query stays as the client wrote it."""
    assert incoming("path-with-query", path=path, query=query) == seen


@given(st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), max_size=30))
def test_a_path_says_the_same_again(text: str) -> None:
    """Whatever the door takes, its guest is given a target that the door would read in the same way."""
    target = ("/" + text.replace("#", "")).encode()
    try:
        path, query = split_target("GET", target, b"x")
    except BadRequest:
        return

    seen = incoming("path-with-query", path=path, query=query)

    assert split_target("GET", seen.encode(), b"x") == (path, query)


def test_scheme_and_authority() -> None:
    """They are those of the client's URL, as far as the door knows it."""
    assert incoming("scheme", scheme="https") == ("HTTPS", None)
    assert incoming("scheme") == ("HTTP", None)
    assert incoming("authority", headers={"host": "Example.com:81"}, host="example.com") == "Example.com:81"
    assert incoming("authority", headers={}, host="") is None


def test_headers_without_those_of_the_connection() -> None:
    """The guest sees no field of one connection, neither those that are known nor those that are named."""
    sent = {
        "host": "x",
        "connection": "close, X-Mine",
        "x-mine": "1",
        "te": "trailers",
        "a": "1",
        "upgrade": "h2c",
    }
    guest = Speaker(asked(headers=sent))

    headers = guest("[method]incoming-request.headers", guest.request)

    assert guest("[method]fields.entries", headers) == [("te", b"trailers"), ("a", b"1")]


def test_a_request_may_be_dropped_before_its_headers() -> None:
    """Other hosts allow it, so programs do it."""
    guest = Speaker(asked(headers={"host": "x", "a": "1"}))
    headers = guest("[method]incoming-request.headers", guest.request)

    guest.drop(guest.request)

    assert guest("[method]fields.get", headers, "a") == [b"1"]


def body_of(guest: Speaker) -> tuple[int, int]:
    """Handles of the request's body and its stream."""
    body = guest("[method]incoming-request.consume", guest.request).value
    return body, guest("[method]incoming-body.stream", body).value


def test_a_body_is_given_once() -> None:
    """The second time that it is asked for is an error, and so it is for its stream."""
    guest = Speaker(asked(body=Body.of(b"hello")))
    body, _ = body_of(guest)

    assert guest("[method]incoming-request.consume", guest.request) == Err()
    assert guest("[method]incoming-body.stream", body) == Err()


def test_a_body_that_is_here() -> None:
    """It is read without waiting, and ends."""
    guest = Speaker(asked(body=Body.of(b"hello")))
    _, stream = body_of(guest)

    assert guest("[method]input-stream.read", stream, 2) == Ok(b"he")
    assert guest("[method]input-stream.read", stream, 9) == Ok(b"llo")
    assert guest("[method]input-stream.read", stream, 9) == Err(("closed", None))


def arriving(*pieces: bytes | BaseException) -> tuple[Body, asyncio.Event]:
    """A body whose second piece comes once the event is set."""
    more = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        for number, piece in enumerate(pieces):
            if number:
                await more.wait()
            if isinstance(piece, BaseException):
                raise piece
            yield piece

    return Body(chunks()), more


def test_a_body_is_read_as_it_arrives() -> None:
    """What is here is read while the rest is still on its way; a read that finds nothing is empty."""

    async def main() -> None:
        body, more = arriving(b"one", b"two")
        guest = Speaker(asked(body=body))
        _, stream = body_of(guest)
        assert await guest.wait("[method]input-stream.blocking-read", stream, 9) == Ok(b"one")
        assert guest("[method]input-stream.read", stream, 9) == Ok(b"")
        pollable = guest("[method]input-stream.subscribe", stream)
        assert guest("[method]pollable.ready", pollable) is False
        more.set()
        await guest.wait("[method]pollable.block", pollable)
        assert await guest.read(stream) == b"two"

    asyncio.run(main())


def test_a_guest_that_only_asks_gets_its_body() -> None:
    """The body comes in even if the guest never waits for it, but goes round and round."""

    async def main() -> None:
        body, more = arriving(b"one", b"two")
        more.set()
        guest = Speaker(asked(body=body))
        _, stream = body_of(guest)
        data = b""
        while isinstance(read := guest("[method]input-stream.read", stream, 9), Ok):
            data += read.value
            await asyncio.sleep(0)
        assert data == b"onetwo"

    asyncio.run(main())


def test_a_wait_for_a_body_may_be_ended_and_begun_again() -> None:
    """Nothing is lost when a guest stops waiting, and it may wait twice at once."""

    async def main() -> None:
        body, more = arriving(b"one", b"two")
        guest = Speaker(asked(body=body))
        _, stream = body_of(guest)
        await guest.wait("[method]input-stream.blocking-read", stream, 9)
        for _ in range(3):
            wait = asyncio.ensure_future(guest.wait("[method]input-stream.blocking-read", stream, 9))
            await asyncio.sleep(0)
            wait.cancel()
            await asyncio.wait({wait})
        first, second = (guest("[method]input-stream.subscribe", stream) for _ in range(2))
        poll = asyncio.ensure_future(guest.wait("poll", [first, second]))
        await asyncio.sleep(0)
        more.set()
        assert await poll == [0, 1]
        assert await guest.read(stream) == b"two"

    asyncio.run(main())


def test_a_body_beyond_the_limit_ends_the_guest() -> None:
    """Whether it was here, or is more than was said."""

    async def main() -> None:
        body, more = arriving(b"12345", b"6")
        more.set()
        guest = Speaker(asked(body=body), request_body=5)
        _, stream = body_of(guest)
        with pytest.raises(BodyTooLarge):
            await guest.read(stream)
        guest = Speaker(asked(body=Body.of(b"123456")), request_body=5)
        with pytest.raises(BodyTooLarge):
            guest("[method]incoming-request.consume", guest.request)

    asyncio.run(main())


def test_a_body_that_breaks_off_never_ends_cleanly() -> None:
    """What arrived is read, then the guest ends with what the door has said."""

    async def main() -> None:
        body, more = arriving(b"one", BadRequest("gone"))
        more.set()
        guest = Speaker(asked(body=body))
        _, stream = body_of(guest)
        assert await guest.wait("[method]input-stream.blocking-read", stream, 9) == Ok(b"one")
        with pytest.raises(BadRequest):
            await guest.wait("[method]input-stream.blocking-read", stream, 9)

    asyncio.run(main())


def test_a_body_is_dropped_after_its_stream() -> None:
    """Dropping or finishing it earlier ends the guest."""
    guest = Speaker(asked(body=Body.of(b"hello")))
    body, stream = body_of(guest)

    with pytest.raises(GuestTrap):
        guest.drop(body)
    with pytest.raises(GuestTrap):
        guest("[static]incoming-body.finish", body)
    guest.drop(stream)
    guest.drop(body)


def test_trailers_come_once_behind_the_body() -> None:
    """What is left of the body is passed over; the doors keep no trailers, so there are none."""

    async def main() -> None:
        body, more = arriving(b"one", b"two")
        guest = Speaker(asked(body=body))
        handle = guest("[method]incoming-request.consume", guest.request).value
        future = guest("[static]incoming-body.finish", handle)
        assert guest("[method]future-trailers.get", future) is None
        pollable = guest("[method]future-trailers.subscribe", future)
        assert guest("[method]pollable.ready", pollable) is False
        more.set()
        await guest.wait("[method]pollable.block", pollable)
        assert guest("[method]future-trailers.get", future) == Ok(Ok(None))
        assert guest("[method]future-trailers.get", future) == Err()
        with pytest.raises(GuestTrap):
            guest.drop(future)
        guest.drop(pollable)
        guest.drop(future)

    asyncio.run(main())


def test_nothing_is_read_of_a_body_that_was_dropped() -> None:
    """The task that waits for its next piece is gone with it."""

    async def main() -> None:
        body, _ = arriving(b"one", b"two")
        guest = Speaker(asked(body=body))
        handle, stream = body_of(guest)
        await guest.wait("[method]input-stream.blocking-read", stream, 9)
        guest("[method]input-stream.read", stream, 9)
        assert len(asyncio.all_tasks()) == 2
        guest.drop(stream)
        guest.drop(handle)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
