"""Heads of responses: whatever a handler says, one response is one response (THREATS S12)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serverless_wasm.messages import Headers, Request, Response
from serverless_wasm.server.wire import OURS, Heads, fields, length

GET = Request(id="1", method="GET", path="/")
HEAD = Request(id="2", method="HEAD", path="/")

TEXT = st.binary(max_size=12)
NEAR_NAMES = st.one_of(TEXT, st.sampled_from([*sorted(OURS), b"a", b"A-b", b"x_y", b"a:", b"a ", b"a\r"]))


@given(st.lists(st.tuples(NEAR_NAMES, TEXT), max_size=5), TEXT, st.integers(-5, 1200))
@example([(b"a", b"b\r\nc: d")], b"", 200)
@example([(b"a\r\nb", b"c")], b"", 200)
@example([], b"OK\r\na: b", 200)
def test_any_bytes_make_one_head_or_none(
    pairs: list[tuple[bytes, bytes]], reason: bytes, status: int
) -> None:
    """A head has exactly the lines that it should have; what would add one is refused."""
    response = Response(status=status, reason=reason, headers=Headers(tuple(pairs)))
    try:
        head = Heads().write(GET, response, 0, keep=True)
    except ValueError:
        return
    first, *lines, blank, end = head.split(b"\r\n")
    kept = [(name.lower(), value) for name, value in pairs if name.lower() not in OURS]

    assert (b"", b"") == (blank, end)
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert [b"%b: %b" % pair for pair in kept] == lines[2:-1]
    assert b"content-length: 0" == lines[-1]
    assert not set(head.replace(b"\r\n", b"")) & {*range(9), *range(10, 32), 127}


def test_every_byte_in_every_place() -> None:
    """The 256 bytes in a name, a value and a reason: what passes is what RFC 9110 allows."""
    token = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for byte in range(256):
        raw = bytes([byte])
        assert passes(Response(status=200, headers=Headers(((b"a" + raw, b""),)))) == (raw in token)
        text = byte == 9 or (byte >= 32 and byte != 127)
        assert passes(Response(status=200, headers=Headers(((b"a", b"b" + raw + b"c"),)))) == text
        assert passes(Response(status=200, reason=b"b" + raw)) == text


def passes(response: Response) -> bool:
    """Whether a head can be made of it."""
    try:
        Heads().write(GET, response, 0, keep=True)
    except ValueError:
        return False
    return True


def test_a_status_without_a_standard_phrase_has_none() -> None:
    """The space before it stays (RFC 9112 section 4)."""
    assert Heads().write(GET, Response(status=799), 0, keep=True).startswith(b"HTTP/1.1 799 \r\n")


def test_a_reason_is_not_kept_for_the_next_response() -> None:
    """What is kept for a second is what is the same for all."""
    heads = Heads()
    first = heads.write(GET, Response(status=200, reason=b"Fine"), 0, keep=True)
    second = heads.write(GET, Response(status=200), 0, keep=True)

    assert first.startswith(b"HTTP/1.1 200 Fine\r\n")
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")


def test_names_are_lower_case_and_ours_are_dropped() -> None:
    """Order and duplicates are kept."""
    headers = Headers(((b"B", b"1"), (b"Connection", b"close"), (b"a", b"2"), (b"b", b"3")))

    assert [(b"b", b"1"), (b"a", b"2"), (b"b", b"3")] == fields(headers)


@pytest.mark.parametrize(
    ("request_", "status", "said", "body", "expected"),
    [
        (GET, 200, (), b"abc", 3),
        (GET, 200, (b"9",), b"abc", 3),
        (GET, 200, (b"9",), b"", 0),
        (HEAD, 200, (b"9",), b"", 9),
        (HEAD, 200, (b"9",), b"abc", 3),
        (HEAD, 200, (), b"", 0),
        (HEAD, 200, (b"9", b"9"), b"", 9),
        (GET, 204, (b"9",), b"abc", None),
        (GET, 205, (b"9",), b"abc", 0),
        (HEAD, 304, (b"9",), b"", None),
    ],
)
def test_lengths_are_counted_where_they_can_be(
    request_: Request, status: int, said: tuple[bytes, ...], body: bytes, expected: int | None
) -> None:
    """What the handler says counts only where there is nothing to count."""
    headers = Headers(tuple((b"content-length", value) for value in said))

    assert expected == length(request_, Response(status=status, headers=headers, body=body))


@pytest.mark.parametrize("said", [(b"1", b"2"), (b"-1",), (b" 1",), (b"\xb2",), (b"",)])
def test_lengths_that_are_none_are_refused(said: tuple[bytes, ...]) -> None:
    """Where the handler's word counts it has to be a number, and one number."""
    headers = Headers(tuple((b"content-length", value) for value in said))
    with pytest.raises(ValueError, match="Content-Length"):
        length(HEAD, Response(status=200, headers=headers))
