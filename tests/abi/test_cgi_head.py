"""The head of a CGI answer: which bytes make which status and fields, and which make none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.abi.cgi_head import HeadReader
from serverless_wasm.errors import BadResponse, BadStatus, HostLimit
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Response

GOOD = [
    (b"Content-Type: text/plain\n\nbody", 200, [(b"content-type", b"text/plain")], b"body"),
    (b"Content-Type: text/plain\r\n\r\nbody", 200, [(b"content-type", b"text/plain")], b"body"),
    (b"content-type:a/b\n\r\n\nbody", 200, [(b"content-type", b"a/b")], b"\nbody"),
    (b"Status: 404 Not Found\n\n", 404, [], b""),
    (b"Status:201\nX-A: 1\nX-A: 2\n\n", 201, [(b"x-a", b"1"), (b"x-a", b"2")], b""),
    (b"Location: /there\n\n", 302, [(b"location", b"/there")], b""),
    (b"Location: /there\nStatus: 301 Moved\n\n", 301, [(b"location", b"/there")], b""),
    (b"Content-Type: a/b\nContent-Length: 7\n\n", 200, [(b"content-type", b"a/b")], b""),
]
STRANGE = [b"no colon", b": no name", b"Sp ace: x", b"A: \x07", b"\xff\xfe: x"]


def read(text: bytes, size: int = 1 << 20) -> tuple[Response, bytes, tuple[bytes, ...]]:
    """What a reader makes of the text, given in pieces of a size."""
    reader = HeadReader(Limits())
    for start in range(0, len(text), size):
        head = reader.feed(text[start : start + size])
        if head is not None:
            return head.draft.finish(), reader.rest + text[start + size :], head.strange
    raise AssertionError("no head")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(("text", "status", "fields", "body"), GOOD)
def test_a_head_is_the_same_however_it_is_written(
    text: bytes, status: int, fields: list[tuple[bytes, bytes]], body: bytes, size: int
) -> None:
    """Status, fields and the rest, in pieces of any size."""
    response, rest, strange = read(text, size)

    assert (status, fields) == (response.status, list(response.headers))
    assert (body, ()) == (rest, strange)


@pytest.mark.parametrize("line", STRANGE)
def test_a_line_that_is_no_field_is_dropped_and_told(line: bytes) -> None:
    """It never reaches the client."""
    response, _, strange = read(b"Status: 200\n" + line + b"\nA: b\n\n")

    assert [(b"a", b"b")] == list(response.headers)
    assert (line,) == strange


@pytest.mark.parametrize("text", [b"\n", b"\r\nbody", b"X-A: b\n\n", b"just text\n\n"])
def test_without_type_location_and_status_there_is_no_response(text: bytes) -> None:
    """RFC 3875 section 6.2."""
    with pytest.raises(BadResponse, match="neither Content-Type, Location nor Status"):
        HeadReader(Limits()).feed(text)


@pytest.mark.parametrize("status", [b"", b"abc", b"99", b"100", b"600", b"2000", b"-200", b"20\xb2"])
def test_a_status_that_is_none_is_a_bad_gateway(status: bytes) -> None:
    """502, as in WAGI; an empty one is none at all."""
    with pytest.raises(BadResponse) as caught:
        HeadReader(Limits()).feed(b"Status: " + status + b"\n\n")

    assert isinstance(caught.value, BadStatus) == bool(status)
    assert (502 if status else 500) == caught.value.status


def test_a_head_without_end_is_refused() -> None:
    """As soon as it is longer than any that the limits allow."""
    reader = HeadReader(Limits(response_header_bytes=100, response_headers=2))

    def flood() -> None:
        for _ in range(10_000):
            assert reader.feed(b"a" * 64) is None

    with pytest.raises(BadResponse, match="no empty line within"):
        flood()


def test_limits_of_a_head_hold() -> None:
    """Number and bytes of fields."""
    with pytest.raises(HostLimit, match="response_headers"):
        HeadReader(Limits(response_headers=2)).feed(b"Status: 200\n" + b"A: b\n" * 3 + b"\n")


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_a_response_or_a_bad_one(text: bytes, size: int) -> None:
    """No other exception; and pieces do not matter."""

    def outcome(size: int) -> object:
        try:
            response, rest, strange = read(text + b"\n\n", size)
        except BadResponse as error:
            return str(error)
        return response.status, response.headers, rest, strange

    assert outcome(size) == outcome(1000)
