"""The HTTP/1.1 door: connections that go on, answers in order, and what a handler can and cannot send."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.doors import GET, Run, echo, hello, post, serving
from serverless_wasm.errors import Error, MethodNotAllowed, NotFound, Overloaded
from serverless_wasm.events import InternalFault
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Headers, Request, Response
from serverless_wasm.server.connection import Connection


def test_a_connection_goes_on(run: Run) -> None:
    """HTTP/1.1 keeps a connection unless asked not to; HTTP/1.0 closes it unless asked not to."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            for _ in range(3):
                answer = await client.ask(GET)
                assert (200, b"GET /?", None) == (answer.status, answer.body, answer.header(b"connection"))
            old = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
            assert b"keep-alive" == (await client.ask(old)).header(b"connection")
            last = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert (200, b"close") == (last.status, last.header(b"connection"))
            assert b"" == await client.ended()

            client = await served.connect()
            assert b"close" == (await client.ask(b"GET / HTTP/1.0\r\n\r\n")).header(b"connection")
            assert b"" == await client.ended()

    run(main())


def test_an_answer_carries_our_name_and_the_date(run: Run) -> None:
    """RFC 9110 section 6.6.1 asks for a Date."""

    async def main() -> None:
        async with serving(hello) as served:
            answer = await (await served.connect()).ask(GET)

            assert b"serverless-wasm" == answer.header(b"server")
            date = answer.header(b"date")
            assert date is not None
            assert date.endswith(b" GMT")

    run(main())


@pytest.mark.parametrize(
    ("status", "method", "length", "body"),
    [
        (200, "GET", b"5", b"hello"),
        (200, "HEAD", b"5", b""),
        (204, "GET", None, b""),
        (205, "GET", b"0", b""),
        (304, "GET", None, b""),
        (304, "HEAD", None, b""),
        (599, "GET", b"5", b"hello"),
        (999, "GET", b"5", b"hello"),
    ],
)
def test_bodies_where_they_belong(
    run: Run, status: int, method: str, length: bytes | None, body: bytes
) -> None:
    """HEAD, 204, 205 and 304 have none, and the connection goes on in step."""

    async def handler(request: Request) -> Response:
        return Response(status=status, body=b"hello")

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            for _ in range(2):
                answer = await client.ask(GET.replace(b"GET", method.encode()), method)
                assert (status, length, body) == (
                    answer.status,
                    answer.header(b"content-length"),
                    answer.body,
                )
                assert answer.header(b"transfer-encoding") is None

    run(main())


def test_the_answer_to_head_keeps_the_length_that_the_handler_says(run: Run) -> None:
    """A handler that answers HEAD itself has no body to count."""

    async def handler(request: Request) -> Response:
        return Response(status=200, headers=Headers(((b"content-length", b"1234"),)))

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            head = await client.ask(GET.replace(b"GET", b"HEAD"), "HEAD")
            assert (b"1234", b"0") == (
                head.header(b"content-length"),
                (await client.ask(GET)).header(b"content-length"),
            )

    run(main())


def test_framing_is_ours(run: Run) -> None:
    """What a handler says of lengths and connections is dropped; the rest is kept, in order."""

    async def handler(request: Request) -> Response:
        ours = [
            b"Content-Length",
            b"transfer-encoding",
            b"Connection",
            b"keep-alive",
            b"te",
            b"trailer",
            b"upgrade",
            b"proxy-authenticate",
            b"proxy-connection",
            b"date",
            b"Server",
        ]
        fields = [(b"X-A", b"1"), *[(name, b"7") for name in ours], (b"x-b", b""), (b"X-A", b"\xe9")]
        return Response(status=418, reason=b"Short and stout", headers=Headers(tuple(fields)), body=b"abc")

    async def main() -> None:
        async with serving(handler) as served:
            answer = await (await served.connect()).ask(GET)

            assert (418, b"Short and stout", b"abc") == (answer.status, answer.reason, answer.body)
            assert [(b"x-a", b"1"), (b"x-b", b""), (b"x-a", b"\xe9")] == answer.headers[2:-1]
            assert (b"content-length", b"3") == answer.headers[-1]
            assert [b"server", b"date"] == [name for name, _ in answer.headers[:2]]

    run(main())


SPLITTING = [
    Response(status=200, headers=Headers(((b"a", b"b" + bytes([byte]) + b"c: d"),)))
    for byte in (*range(9), *range(10, 32), 127)
] + [
    Response(status=200, headers=Headers(((b"a" + bytes([byte]) + b"b", b"c"),)))
    for byte in b'\0\t\r\n "(),/:;<=>?@[\\]{}\x7f\x80\xff'
]
SPLITTING += [
    Response(status=200, headers=Headers(((b"", b"c"),))),
    Response(status=200, reason=b"OK\r\na: b"),
    Response(status=200, reason=b"\0"),
    Response(status=99),
    Response(status=100),
    Response(status=101),
    Response(status=1000),
    Response(status=0),
    Response(status=-200),
]


def test_a_response_cannot_be_split(run: Run) -> None:
    """What HTTP forbids in a head is a fault of ours and 500, and nothing of it is sent."""
    responses = iter(SPLITTING)

    async def handler(request: Request) -> Response:
        return next(responses)

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            for _ in SPLITTING:
                answer = await client.ask(GET)
                event = served.events.pop()

                assert isinstance(event, InternalFault)
                assert isinstance(event.exception, ValueError)
                assert (500, {"error": "internal", "request_id": event.request_id}) == (
                    answer.status,
                    answer.json(),
                )

    run(main())


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (NotFound("x"), 404, None),
        (MethodNotAllowed(("GET", "HEAD")), 405, (b"allow", b"GET, HEAD")),
        (Overloaded("x"), 503, (b"retry-after", b"1")),
        (Error("secret"), 500, None),
    ],
)
def test_errors_of_the_tree_are_answered(
    run: Run, error: Error, status: int, header: tuple[bytes, bytes] | None
) -> None:
    """Whatever the rooms above let through has its own answer, and the connection goes on."""

    async def handler(request: Request) -> Response:
        raise error

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            for _ in range(2):
                answer = await client.ask(GET)
                assert (status, error.code) == (answer.status, answer.json()["error"])
                assert header is None or header in answer.headers
                assert b"secret" not in answer.body
            assert [] == served.events

    run(main())


@pytest.mark.parametrize(
    "fault", [ValueError("secret"), KeyError("x"), asyncio.CancelledError("from within")]
)
def test_other_exceptions_are_faults_of_ours(run: Run, fault: BaseException) -> None:
    """They are told to the operator alone; the next request is served."""

    async def handler(request: Request) -> Response:
        if request.path == "/":
            raise fault
        return await hello(request)

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            answer = await client.ask(GET)
            (event,) = served.events

            assert isinstance(event, InternalFault)
            assert event.exception is fault
            assert (500, b"secret" in answer.body) == (answer.status, False)
            assert event.request_id == answer.json()["request_id"]
            assert 200 == (await client.ask(GET.replace(b"/ ", b"/a "))).status

    run(main())


def test_a_hundred_pipelined_requests_are_answered_in_order(run: Run) -> None:
    """Methods and framings mixed, some answers slower than others."""

    async def handler(request: Request) -> Response:
        for _ in range(len(request.path) % 4):
            await asyncio.sleep(0)
        body = await request.body.read(100)
        return Response(status=200, body=f"{request.method} {request.path} ".encode() + body)

    def pair(number: int) -> tuple[bytes, str, bytes]:
        path = b"/" + b"x" * number
        if number % 4 == 1:
            return b"HEAD %b HTTP/1.1\r\nHost: a\r\n\r\n" % path, "HEAD", b""
        if number % 4 == 2:
            head = b"PUT %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path
            return head + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "PUT", b"PUT %b abc" % path
        if number % 4 == 3:
            head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n" % path
            return head + b"\r\n\r\n", "POST", b"POST %b \r\n\r\n" % path
        return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path, "GET", b"GET %b " % path

    async def main() -> None:
        async with serving(handler) as served:
            client = await served.connect()
            pairs = [pair(number) for number in range(100)]
            await client.send(b"".join(sent for sent, _, _ in pairs))
            for _, method, body in pairs:
                answer = await client.answer(method)
                assert (200, body) == (answer.status, answer.body)

    run(main())


def test_one_handler_at_a_time(run: Run) -> None:
    """The second of two pipelined requests waits for the first one's answer."""

    async def main() -> None:
        order: list[str] = []
        go = asyncio.Event()

        async def handler(request: Request) -> Response:
            order.append(f"begin {request.path}")
            if request.path == "/1":
                await go.wait()
            order.append(f"end {request.path}")
            return await hello(request)

        async with serving(handler) as served:
            client = await served.connect()
            await client.send(GET.replace(b"/ ", b"/1 ") + GET.replace(b"/ ", b"/2 "))
            other = await served.connect()
            await other.ask(GET)  # by now the door has read what the first client sent
            assert "begin /2" not in order
            go.set()
            await client.answer()
            await client.answer()
            order.remove("begin /")
            order.remove("end /")
            assert ["begin /1", "end /1", "begin /2", "end /2"] == order

    run(main())


def test_thousands_of_pipelined_requests_are_not_held_all_at_once(run: Run) -> None:
    """Reading pauses at a few requests; all are answered in the end."""

    async def main() -> None:
        go = asyncio.Event()
        ids: set[str] = set()

        async def handler(request: Request) -> Response:
            await go.wait()
            ids.add(request.id)
            return Response(status=204)

        async with serving(handler) as served:
            client = await served.connect()
            await client.send(GET * 3000)
            await (await served.connect()).ask(b"FOO ")
            all_open = [item for item in served.door._shared.open if isinstance(item, Connection)]
            (connection,) = (item for item in all_open if item._task is not None)
            assert len(connection._queue) < 20
            go.set()
            for _ in range(3000):
                assert 204 == (await client.head()).status
            assert 3000 == len(ids)

    run(main())


def test_a_client_that_closes_after_a_request_gets_no_second_answer(run: Run) -> None:
    """Connection: close in the middle of a pipeline ends it there."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            close = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            await client.send(GET + close + GET)
            assert [b"GET /?", b"GET /last?"] == [(await client.answer()).body for _ in range(2)]
            assert b"" == await client.ended()

    run(main())


def test_an_upgrade_is_ignored(run: Run) -> None:
    """The request is answered as it is, body and all, and the connection closed."""

    async def main() -> None:
        async with serving(echo) as served:
            for framing, body in [
                (b"Content-Length: 3", b"abc"),
                (b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
            ]:
                client = await served.connect()
                answer = await client.ask(
                    post(b"Connection: upgrade", b"Upgrade: h2c", framing, body=body) + GET
                )
                assert (200, b"abc") == (answer.status, answer.body)
                assert b"close" == answer.header(b"connection")
                assert b"" == await client.ended()

    run(main())


def test_more_connections_than_the_limit_are_closed_at_once(run: Run) -> None:
    """And one that ends makes room for another."""

    async def main() -> None:
        async with serving(hello, DoorLimits(connections=2)) as served:
            first, second = await served.connect(), await served.connect()
            assert [200, 200] == [(await client.ask(GET)).status for client in (first, second)]
            third = await served.connect()
            assert b"" == await third.ended()
            first.close()
            await served.until_connections(1)
            assert 200 == (await (await served.connect()).ask(GET)).status

    run(main())


def test_ids_are_unique_and_short(run: Run) -> None:
    """Two doors and many requests: no id twice."""

    async def main() -> None:
        ids: list[str] = []

        async def handler(request: Request) -> Response:
            ids.append(request.id)
            return Response(status=204)

        async with serving(handler) as one, serving(handler) as other:
            for served in (one, other):
                client = await served.connect()
                for _ in range(50):
                    await client.ask(GET)
        assert 100 == len(set(ids))
        assert all(len(item) < 16 for item in ids)

    run(main())


def test_addresses_that_are_taken_are_an_os_error(run: Run) -> None:
    """Whoever starts the door can say so in a sentence."""

    async def main() -> None:
        async with serving(hello) as one, serving(hello) as other:
            with pytest.raises(OSError, match="Address already in use"):
                await other.door.listen(("127.0.0.1", one.port))
            assert 200 == (await (await other.connect()).ask(GET)).status

    run(main())


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=3000), st.lists(st.integers(1, 500), max_size=8))
def test_chunk_boundaries_are_not_part_of_a_body(body: bytes, sizes: list[int]) -> None:
    """Any bytes, cut anywhere, come back the same."""

    async def main() -> None:
        framed, at = b"", 0
        for size in [*sizes, len(body)]:
            piece = body[at : at + size]
            at += len(piece)
            if piece:
                framed += b"%x\r\n%b\r\n" % (len(piece), piece)
        async with serving(echo) as served:
            client = await served.connect()
            request = post(b"Transfer-Encoding: chunked", body=framed + b"0\r\n\r\n")
            answers = [await client.ask(request), await client.ask(request)]
            assert [body, body] == [answer.body for answer in answers]

    asyncio.run(main())
