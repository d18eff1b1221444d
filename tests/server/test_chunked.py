"""Chunks: the body comes out, the end is found, and what stands around the data is bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.errors import BadRequest
from serverless_wasm.server.chunked import Chunks


def decoded(*pieces: bytes, limit: int = 1000) -> tuple[bytes, int, bool]:
    """The body, how many bytes of the last piece were left alone, and whether the end was found."""
    chunks, body, left = Chunks(limit), bytearray(), 0
    for piece in pieces:
        left = len(piece) - chunks.feed(piece, 0, body.extend)
    return bytes(body), left, chunks.done


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.data())
def test_a_body_comes_out_as_it_went_in(chunks: list[bytes], data: st.DataObject) -> None:
    """However it was chunked, whatever extensions and trailers it has, wherever the network cuts it."""
    extensions = st.sampled_from([b"", b"", b";a", b";a=b", b';a="b;\\"c"', b";a;b=c"])
    wire = b"".join(
        b"%x%b\r\n%b\r\n" % (len(chunk), data.draw(extensions), chunk) for chunk in [*chunks, b""][:-1]
    )
    wire += b"0%b\r\n%b\r\n" % (
        data.draw(extensions),
        data.draw(st.sampled_from([b"", b"X: y\r\n", b"X:\r\n"])),
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    pieces = [wire[start:end] for start, end in pairwise([0, *cuts, len(wire)])]
    pieces[-1] += b"GET "

    assert (b"".join(chunks), 4, True) == decoded(*pieces)


def test_small_chunks_come_out_as_one_piece() -> None:
    """What a client can make us hold does not depend on how small it cuts its bytes."""
    pieces: list[bytes] = []
    wire = b"1\r\na\r\n" * 10_000
    Chunks(1000).feed(wire, 0, pieces.append)

    assert [b"a" * 10_000] == pieces


def test_what_came_before_a_mistake_comes_out() -> None:
    """The handler gets it before it gets the error."""
    pieces: list[bytes] = []
    with pytest.raises(BadRequest):
        Chunks(1000).feed(b"1\r\na\r\n1\r\nb\r\nx\r\n", 0, pieces.append)

    assert [b"ab"] == pieces


@pytest.mark.parametrize(
    "line",
    [
        b"1;" + b"a" * 99 + b"\r\na\r\n",
        b"1;aaaaaaaaaaaaaaaaaaaaaaaaa\r\na\r\n" * 10,
        b"0\r\nX: " + b"y" * 115 + b"\r\n\r\n",
        b"0\r\n" + b"a:\r\n" * 10 + b"\r\n",
    ],
)
def test_extensions_and_trailers_share_one_limit(line: bytes) -> None:
    """A few are taken; one long one, or many short ones, are not, nor is a line without an end."""
    decoded(line, limit=1000)
    with pytest.raises(BadRequest, match="limit"):
        decoded(line, limit=50)
    with pytest.raises(BadRequest, match="limit"):
        decoded(b"1;" + b"a" * 1017, limit=1000)


def test_sizes_are_sixteen_digits_at_most() -> None:
    """The largest is taken for what it is, and waited for."""
    assert (b"abc", 0, False) == decoded(b"ffffffffffffffff\r\nabc")
    assert (b"abc", 0, True) == decoded(b"0000000000000003\r\nabc\r\n000\r\n\r\n")
    with pytest.raises(BadRequest):
        decoded(b"00000000000000003\r\nabc")
