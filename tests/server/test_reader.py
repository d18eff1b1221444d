"""The Reader: one reading of any bytes, however the network cuts them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import count, pairwise
from random import Random
from urllib.parse import quote

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from differential import grammar
from differential.mutations import stream
from server.doors import GET, post
from server.malformed import BODIES, HEADS, get
from serverless_wasm.errors import BadRequest, HeadersTooLarge, RequestError, TargetTooLong
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Request
from serverless_wasm.server import reader as reader_module
from serverless_wasm.server.reader import BETWEEN, DONE, Reader

Told = list[tuple[str, str, str, bytes | None]]


class Reading:
    """Feeds a Reader and keeps what it makes of the bytes."""

    def __init__(self, limits: DoorLimits | None = None) -> None:
        self.reader = Reader(limits or DoorLimits(), map(str, count()), "client", lambda _: None)
        self.requests: list[Request] = []
        self.refused: RequestError | None = None

    def feed(self, data: bytes) -> None:
        """Everything that one read of the socket brought."""
        at = 0
        try:
            while at < len(data) and self.refused is None:
                before, at = at, self.reader.feed(data, at)
                assert at > before, "no progress"
                if self.reader.turn is not None:
                    self.requests.append(self.reader.turn.request)
                    self.reader.turn = None
        except RequestError as error:
            self.refused = error

    def told(self) -> Told:
        """What there is to know of each request, its body too; None for a body that failed."""
        return asyncio.run(self._told())

    def over(self) -> tuple[Told, type | None, str, int]:
        """All that can be seen from outside once no more bytes come; what is unfinished then fails."""
        refused = None if self.refused is None else type(self.refused)
        phase = self.reader.phase if refused is None else DONE
        self.reader.give_up(BadRequest("no more bytes come"))
        return self.told(), refused, str(self.refused), phase

    async def _told(self) -> Told:
        told: Told = []
        for request in self.requests:
            body: bytes | None = None
            with suppress(BadRequest):
                body = await request.body.read(2**32)
            told.append((request.method, request.path, request.query, body))
        return told


def read(*pieces: bytes, limits: DoorLimits | None = None) -> Reading:
    """What a Reader makes of reads that bring these pieces."""
    reading = Reading(limits)
    for piece in pieces:
        reading.feed(piece)
    return reading


def bytewise(data: bytes) -> Reading:
    """What it makes of them if every byte comes alone."""
    return read(*(bytes([byte]) for byte in data))


def cut(data: bytes, seed: int) -> Reading:
    """What it makes of them if they are cut at random."""
    random = Random(seed)  # noqa: S311 - to be told again
    cuts = sorted(random.randrange(len(data)) for _ in range(random.randint(1, 20)))
    return read(*(data[start:end] for start, end in pairwise([0, *cuts, len(data)]) if start < end))


CHUNKED = post(b"Transfer-Encoding: chunked", body=b"3;x=y\r\nabc\r\n4\r\n\r\n\r\n\r\n0\r\nX: y\r\n\r\n")
MANY = [
    (GET, [("GET", "/", "", b"")]),
    (b"\r\n\r\n" + GET, [("GET", "/", "", b"")]),
    (get(b"GET / HTTP/1.1", b"Proxy-Connection: close") + GET, [("GET", "/", "", b"")] * 2),
    (get(b"GET / HTTP/1.1", b"Connection: x, Close") + GET, [("GET", "/", "", b"")]),
    (get(b"GET / HTTP/1.1", b"A: " + b"b" * 16_384), [("GET", "/", "", b"")]),
    (get(b"GET / HTTP/1.1", *[b"a: b"] * 99), [("GET", "/", "", b"")]),
    (get(b"GET /" + b"a" * 8191 + b" HTTP/1.1"), [("GET", "/" + "a" * 8191, "", b"")]),
    (get(b"GET /" + b"a/" * 2000 + b" HTTP/1.1"), [("GET", "/" + "a/" * 2000, "", b"")]),
    (GET + b"\r\n" + GET, [("GET", "/", "", b"")] * 2),
    (post(b"Content-Length: 3", body=b"abc") + GET, [("POST", "/", "", b"abc"), ("GET", "/", "", b"")]),
    (post(b"Content-Length: 0003 \t", body=b"abc"), [("POST", "/", "", b"abc")]),
    (post(b"Content-Length: 0"), [("POST", "/", "", b"")]),
    (CHUNKED + GET, [("POST", "/", "", b"abc\r\n\r\n"), ("GET", "/", "", b"")]),
    (CHUNKED + CHUNKED, [("POST", "/", "", b"abc\r\n\r\n")] * 2),
    (get(b"GET /a%20b?c=%20{|} HTTP/1.1"), [("GET", "/a b", "c=%20{|}", b"")]),
    (get(b"GET /a/./b/../c HTTP/1.1"), [("GET", "/a/c", "", b"")]),
    (get(b"GET http://a/x?y HTTP/1.1"), [("GET", "/x", "y", b"")]),
    (get(b"GET HTTP://A:80?y HTTP/1.1"), [("GET", "/", "y", b"")]),
    (get(b"GET https://a:443/ HTTP/1.1", b"Connection: keep-alive"), None),
    (get(b"OPTIONS * HTTP/1.1"), [("OPTIONS", "*", "", b"")]),
    (get(b"QUERY / HTTP/1.1"), [("QUERY", "/", "", b"")]),
    (b"GET / HTTP/1.0\r\n\r\n", [("GET", "/", "", b"")]),
    (b"GET http://b/ HTTP/1.0\r\n\r\n", [("GET", "/", "", b"")]),
    (get(b"GET / HTTP/1.1", b"Connection: close") + GET, [("GET", "/", "", b"")]),
    (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + GET, [("GET", "/", "", b"")] * 2),
    (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n" + GET, [("GET", "/", "", b"")]),
    (
        post(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 3", body=b"abc") + GET,
        [("POST", "/", "", b"abc")],
    ),
    (
        post(
            b"Connection: upgrade",
            b"Upgrade: h2c",
            b"Transfer-Encoding: chunked",
            body=b"1\r\na\r\n0\r\n\r\n",
        ),
        [("POST", "/", "", b"a")],
    ),
    (get(b"GET / HTTP/1.1", b"Connection: upgrade", b"Upgrade: h2c") + GET, [("GET", "/", "", b"")]),
]


@pytest.mark.parametrize(("data", "expected"), MANY)
def test_good_requests_are_read_the_same_way_byte_by_byte(data: bytes, expected: Told | None) -> None:
    """The network's cuts make no difference to a request."""
    whole, split = read(data), bytewise(data)

    assert whole.refused is None or expected is None
    assert whole.told() == split.told()
    assert str(whole.refused) == str(split.refused)
    if expected is not None:
        assert expected == whole.told()


@pytest.mark.parametrize(("data", "status"), [row[1:] for row in HEADS], ids=[row[0] for row in HEADS])
def test_bad_heads_are_refused_however_they_are_cut(data: bytes, status: int) -> None:
    """Whatever has two readings, or none, gets its status; nothing reaches a handler, then or later."""
    whole = read(data, GET)
    assert whole.refused is not None
    for reading in (whole, bytewise(data), *(cut(data, seed) for seed in range(4))):
        assert reading.refused is not None
        assert (status, whole.refused.code) == (reading.refused.status, reading.refused.code)
        assert reading.requests == []


@pytest.mark.parametrize("data", [row[1] for row in BODIES], ids=[row[0] for row in BODIES])
def test_bad_bodies_fail_for_whoever_reads_them(data: bytes) -> None:
    """A body of bad framing never ends cleanly, and nothing behind it is read as a request."""
    for reading in (read(data, GET), bytewise(data), *(cut(data, seed) for seed in range(4))):
        assert [("POST", "/", "", None)] == reading.told()
        assert reading.reader.phase == DONE


@given(st.data())
def test_any_bytes_are_read_the_same_however_they_are_cut(data: st.DataObject) -> None:
    """Good, spoiled and random bytes: the same requests, bodies and refusal in any cut, and no exception.

    The reference is the whole, fed at once.
    """
    pieces = st.one_of(
        st.builds(stream, st.randoms(use_true_random=False)),
        st.sampled_from(
            [wire for wire in (*(row[1] for row in HEADS), *(row[1] for row in BODIES)) if len(wire) < 1000]
        ),
        st.sampled_from([GET, CHUNKED, b"\r\n", b"\r", b"\n", b" ", b"\0"]),
        st.binary(max_size=30),
    )
    wire = b"".join(data.draw(st.lists(pieces, min_size=1, max_size=3)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    parts = [wire[start:end] for start, end in pairwise([0, *cuts, len(wire)]) if start < end]

    assert read(wire).over() == read(*parts).over()


@given(st.randoms(use_true_random=False))
def test_spoiled_requests_are_read_as_the_grammar_says(random: Random) -> None:
    """The same requests, bodies and status as RFC 9112 read once more, by expressions over the whole."""
    wire = stream(random)
    expected, reading = grammar.read(wire), read(wire)
    told, refused, _, phase = reading.over()
    whole = [row for row in told if row[3] is not None]
    status = reading.refused.status if reading.refused else 0
    if refused is None and len(whole) < len(told) and not expected.unfinished:
        status = 400  # of a body that is bad, its handler hears

    assert [
        (it.method.decode(), it.path, it.query.decode("latin-1"), it.body) for it in expected.requests
    ] == whole
    assert expected.status == status
    assert expected.unfinished or phase == DONE


@pytest.mark.parametrize("limit", [200, 201, 202, 217, 218, 219, 300])
@pytest.mark.parametrize(
    "wire",
    [
        get(b"GET /" + b"a" * 190 + b" HTTP/1.1"),
        get(b"GET / HTTP/1.1", b"A: " + b"b" * 190),
        get(b"GET / HTTP/1.1", b"A: " + b"b" * 190, b"c d"),
        post(b"Transfer-Encoding: chunked", body=b"3;" + b"a" * 190 + b"\r\nabc\r\n0\r\n\r\n"),
        post(
            b"Transfer-Encoding: chunked", body=b"1;a\r\nb\r\n" * 20 + b"0\r\nX: " + b"y" * 190 + b"\r\n\r\n"
        ),
        post(b"Transfer-Encoding: chunked", body=b"0\r\n" + b"X: y\r\n" * 11 + b"\r\n"),
    ],
)
def test_limits_are_counted_to_the_byte(wire: bytes, limit: int) -> None:
    """What is near a limit is taken or refused, but the same in every cut."""
    limits = DoorLimits(target=limit - 10, header_bytes=limit)
    whole = read(wire + GET, limits=limits).over()
    for place in range(1, len(wire)):
        assert whole == read(wire[:place], wire[place:] + GET, limits=limits).over()
    assert whole == read(*(bytes([byte]) for byte in wire + GET), limits=limits).over()


def test_a_thousand_pipelined_requests_come_out_in_order() -> None:
    """Of mixed methods and framings, fed at once; an error in the middle ends them, so does `close`."""
    wire, expected = b"", []
    for number in range(1000):
        path = b"/%d" % number
        sent, method, body = [
            (get(b"GET %b HTTP/1.1" % path), "GET", b""),
            (get(b"PUT %b HTTP/1.1" % path, b"Content-Length: 3") + b"abc", "PUT", b"abc"),
            (get(b"HEAD %b HTTP/1.1" % path), "HEAD", b""),
            (
                get(b"POST %b HTTP/1.1" % path, b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n",
                "POST",
                b"a",
            ),
        ][number % 4]
        wire += sent
        expected.append((method, f"/{number}", "", body))
    half = wire[: wire.index(b"GET /500 ")]

    assert expected == read(wire).told()
    bad = read(half + b"GET / HTTP/1.1\r\n\r\n" + wire)
    assert (expected[:500], True) == (bad.told(), isinstance(bad.refused, BadRequest))
    closing = read(half + get(b"GET /x HTTP/1.1", b"Connection: close") + wire)
    assert ([*expected[:500], ("GET", "/x", "", b"")], None) == (closing.told(), closing.refused)


@given(st.lists(st.sampled_from(["", ".", "..", "a", "%2e", "%C3%A9", "%25", "%2541", ";", "%3F", "%23"])))
def test_a_path_has_one_reading(segments: list[str]) -> None:
    """What a guest sees as its path, quoted and sent again, is the same path (THREATS C8)."""
    first = read(get(f"GET /{'/'.join(segments)} HTTP/1.1".encode()))
    if first.refused is not None:
        return
    path = first.requests[0].path

    assert [("GET", path, "", b"")] == read(get(f"GET {quote(path)} HTTP/1.1".encode())).told()


def test_every_cut_of_a_pipeline_is_read_the_same() -> None:
    """Ends of messages are found wherever two reads meet."""
    wire = CHUNKED + GET + post(b"Content-Length: 4", body=b"\r\n\r\n") + CHUNKED + b"\r\n" + GET
    expected = [
        ("POST", "/", "", b"abc\r\n\r\n"),
        ("GET", "/", "", b""),
        ("POST", "/", "", b"\r\n\r\n"),
        ("POST", "/", "", b"abc\r\n\r\n"),
        ("GET", "/", "", b""),
    ]
    for cut in range(len(wire)):
        assert expected == read(wire[:cut], wire[cut:]).told(), cut


@given(st.data())
def test_any_cut_of_any_pipeline_is_read_the_same(data: st.DataObject) -> None:
    """Random requests, chunked at random, cut at random, are what was sent."""
    expected: Told = []
    wire = b""
    for _ in range(data.draw(st.integers(1, 4))):
        sent, told = data.draw(requests())
        wire += sent
        expected.append(told)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    reading = read(*pieces)

    assert reading.refused is None
    assert expected == reading.told()
    assert reading.reader.phase == BETWEEN


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, tuple[str, str, str, bytes]]:
    """A request and what must be read from it; bodies like to look like the ends of things."""
    pieces = st.lists(
        st.sampled_from([b"\r\n", b"\r", b"\n", b"0", b"0\r\n\r\n", GET, b"x" * 300]), max_size=5
    )
    chunks = [chunk for chunk in draw(st.lists(pieces.map(b"".join), max_size=4)) if chunk]
    body = b"".join(chunks)
    kind = draw(st.sampled_from(["none", "sized", "chunked"]))
    if kind == "none":
        return GET, ("GET", "/", "", b"")
    if kind == "sized":
        return post(b"Content-Length: %d" % len(body), body=body), ("POST", "/", "", body)
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return post(b"Transfer-Encoding: chunked", body=framed), ("POST", "/", "", body)


@pytest.mark.parametrize("place", range(1, len(GET)))
def test_the_end_of_a_head_is_not_known_as_a_head(place: int) -> None:
    """What completed a request is, when it comes again alone, the beginning of another."""
    first, second = GET[:place], GET[place:]
    reading = read(first, second, second)

    assert [("GET", "/", "", b"")] == reading.told()
    assert bytewise(GET + second).over() == reading.over()


def test_a_known_head_is_not_taken_for_one_inside_a_body() -> None:
    """Bytes that were a request before are a body where a body is due."""
    posted = post(b"Content-Length: %d" % len(GET))
    reading = read(GET, GET, posted, GET, GET)

    assert [*[("GET", "/", "", b"")] * 2, ("POST", "/", "", GET), ("GET", "/", "", b"")] == reading.told()


def test_a_known_head_is_not_taken_for_one_behind_the_end_of_a_body() -> None:
    """A read that looks like a known head, but whose first bytes end a body, is read from there."""
    reading = read(GET, post(b"Content-Length: 3"), GET)
    expected = BadRequest

    assert [("GET", "/", "", b""), ("POST", "/", "", b"GET")] == reading.told()
    assert isinstance(reading.refused, expected)  # " / HTTP/1.1" is no request line


def test_each_request_has_its_own_id() -> None:
    """The same bytes twice are two requests."""
    reading = read(GET, GET, GET + GET)

    assert ["0", "1", "2", "3"] == [request.id for request in reading.requests]


def test_what_a_handler_sees() -> None:
    """Names in lower case, values without the whitespace around them, forwarding headers as they came."""
    (request,) = read(
        get(b"GET / HTTP/1.1", b"X-Forwarded-For:  1.2.3.4 \t", b"FORWARDED: for=b", b"E:")
    ).requests

    assert (b"a", b"1.2.3.4", b"for=b", b"") == tuple(
        request.headers.get(name) for name in (b"host", b"x-forwarded-for", b"forwarded", b"e")
    )
    assert ("a", "1.1", "http", "client") == (request.host, request.version, request.scheme, request.client)


@pytest.mark.parametrize(
    ("field", "host"),
    [
        (b"Example.COM", "example.com"),
        (b"example.com:8080", "example.com"),
        (b"example.com:", "example.com"),
        (b"a_b.local", "a_b.local"),
        (b"127.0.0.1:1", "127.0.0.1"),
        (b"[::1]:80", "[::1]"),
        (b"[2001:DB8::1]", "[2001:db8::1]"),
    ],
)
def test_hosts_lose_their_port_and_their_case(field: bytes, host: str) -> None:
    """Routing compares what is left."""
    (request,) = read(b"GET / HTTP/1.1\r\nHost: " + field + b"\r\n\r\n").requests

    assert host == request.host


def test_the_absolute_form_names_the_host_where_no_field_does() -> None:
    """HTTP/1.0 needs no Host."""
    (request,) = read(b"GET http://B:81/ HTTP/1.0\r\n\r\n").requests

    assert "b" == request.host


def test_sizes_at_the_limits_pass() -> None:
    """The limits are the largest sizes that are taken."""
    limits = DoorLimits(target=100, header_bytes=200, header_fields=3)
    line = b"GET /" + b"a" * 99 + b" HTTP/1.1\r\n"
    fields = b"Host: a\r\nb: c\r\nd: " + b"e" * (200 - 23) + b"\r\n\r\n"
    reading = read(line + fields, limits=limits)

    assert reading.refused is None
    assert len(reading.requests) == 1


@pytest.mark.parametrize(
    ("line", "fields", "expected"),
    [
        (b"GET /" + b"a" * 100, b"Host: a\r\n", TargetTooLong),
        (b"GET /", b"Host: a\r\nb: " + b"c" * 200 + b"\r\n", HeadersTooLarge),
        (b"GET /", b"Host: a\r\n" + b"b: c\r\n" * 3, HeadersTooLarge),
    ],
)
def test_sizes_beyond_the_limits_do_not(line: bytes, fields: bytes, expected: type[RequestError]) -> None:
    """One more is refused."""
    limits = DoorLimits(target=100, header_bytes=200, header_fields=3)

    assert isinstance(read(line + b" HTTP/1.1\r\n" + fields + b"\r\n", limits=limits).refused, expected)


def test_an_endless_head_is_given_up_at_the_limit() -> None:
    """What a client can make us hold is bounded, whatever it leaves unfinished."""
    for start in (b"GET /", b"GET / HTTP/1.1\r\nA: ", b"GET / HTTP/1.1\r\nHost: a\r\nA"):
        reading = Reading()
        reading.feed(start)
        sent = 0
        while reading.refused is None:
            reading.feed(b"a" * 1000)
            sent += 1000
        limits = DoorLimits()
        assert sent <= limits.target + limits.header_bytes + 2000


def test_the_parser_says_what_we_think_it_says() -> None:
    """Each complaint that has a meaning of its own is still one of the parser's."""
    said = set()
    for line in (b"SETUP / HTTP/1.1", b"PRI / HTTP/1.1"):
        with pytest.raises(httptools.HttpParserError) as raised:
            httptools.HttpRequestParser(object()).feed_data(get(line))
        said.add(str(raised.value))

    assert said == reader_module._OTHER_METHODS
