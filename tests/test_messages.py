"""Requests, responses, headers and bodies as values."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from serverless_wasm.errors import BodyTooLarge, GuestTrap, MethodNotAllowed, Overloaded
from serverless_wasm.messages import Body, Headers, Response


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_headers_keep_order_and_join_values() -> None:
    """Several fields of one name are joined as RFC 9110 section 5.2 says; a missing one is None."""
    headers = Headers(((b"a", b"1"), (b"b", b"2"), (b"a", b"3")))

    assert headers.get(b"a") == b"1, 3"
    assert headers.get(b"c") is None
    assert [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")] == list(headers)


def test_body_can_be_read_again() -> None:
    """The whole body, any number of times, and iterated once it is here."""

    async def main() -> list[bytes]:
        body = Body(chunks(b"ab", b"c"))
        return [await body.read(3), await body.read(3), *[part async for part in body]]

    assert [b"abc"] * 3 == asyncio.run(main())


def test_body_over_the_limit_stops_the_reading() -> None:
    """What comes after the limit was passed is never asked for."""
    asked: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            asked.append(1)
            yield b"xx"

    with pytest.raises(BodyTooLarge):
        asyncio.run(Body(endless()).read(5))
    assert len(asked) == 3


def test_body_that_was_read_still_has_a_limit() -> None:
    """A second reader's smaller limit holds."""
    with pytest.raises(BodyTooLarge):
        asyncio.run(Body.of(b"abc").read(2))


def test_error_shows_code_and_id_alone() -> None:
    """The client never sees the error's text."""
    response = Response.of_error(GuestTrap("secret /path"), "r1")

    assert response.status == 500
    assert {"error": "guest_fault", "request_id": "r1"} == json.loads(bytes(response.body))  # type: ignore[arg-type] # of_error makes bytes


def test_error_carries_the_headers_that_its_status_needs() -> None:
    """405 says which methods (RFC 9110 section 15.5.6), 503 says when to try again."""
    assert Response.of_error(MethodNotAllowed(("GET", "HEAD")), "r").headers.get(b"allow") == b"GET, HEAD"
    assert Response.of_error(Overloaded(), "r").headers.get(b"retry-after") == b"1"
