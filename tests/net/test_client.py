"""HTTP requests of guests: what is sent, what is received, and what becomes of connections."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from net.backends import Dialled, Run, backend
from net.requesting import (
    OK,
    Broken,
    Guest,
    Recording,
    Words,
    answer_of,
    body_of,
    guest_of,
    saying,
    unanswered,
)
from serverless_wasm.net.call import Times
from serverless_wasm.net.policy import Policy, Target
from serverless_wasm.net.tcp import Network


def test_a_request_and_its_response(run: Run) -> None:
    """A GET is sent as it was made, with Host in front, and its response comes back with its fields."""

    async def main() -> None:
        server = Recording(b"HTTP/1.1 201 Made\r\nX-One: 1\r\nx-one: 2\r\ncontent-length: 2\r\n\r\nok")
        async with guest_of(server) as (guest, port):
            call = guest.call(port, target=b"/a?b=c", fields=((b"Accept", b"*/*"),))
            exchange = guest.client.send(call)
            await exchange.answered()
            assert exchange.result().status == 201
            assert exchange.result().fields[:2] == ((b"X-One", b"1"), (b"x-one", b"2"))
            assert await body_of(exchange) == b"ok"
            head = b"GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\n\r\n" % port
            assert [[each.lower() for each in heads] for heads in server.heads] == [[head.lower()]]

    run(main())


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"content-length: 5\r\n\r\nhello", b"hello"),
        (b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", b"hello"),
        (b"\r\nhello", b"hello"),
        (b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x8b\x00", b"\x1f\x8b\x00"),
    ],
    ids=["sized", "chunked", "until the end", "compressed, as it is"],
)
def test_bodies(answer: bytes, body: bytes, run: Run) -> None:
    """However a body is framed, the guest gets its bytes."""

    async def main() -> None:
        async with guest_of(saying(b"HTTP/1.1 200 OK\r\n" + answer)) as (guest, port):
            assert await guest.get(port) == (200, body)

    run(main())


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_statuses(status: int, run: Run) -> None:
    """A response without a body ends with its head, whatever it says of a length."""

    async def main() -> None:
        answer = b"HTTP/1.1 %d X\r\ncontent-length: 7\r\n\r\n" % status
        async with guest_of(saying(answer, close=False)) as (guest, port):
            assert await guest.get(port) == (status, b"")

    run(main())


def test_the_answer_to_head(run: Run) -> None:
    """The length in an answer to HEAD is that of another response."""

    async def main() -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"
        async with guest_of(saying(answer, close=False)) as (guest, port):
            assert await guest.get(port, method=b"HEAD") == (200, b"")

    run(main())


def test_interim_responses_are_passed_over(run: Run) -> None:
    """What comes before the final response is not the guest's."""

    async def main() -> None:
        early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        async with guest_of(saying(early + OK)) as (guest, port):
            assert await guest.get(port) == (200, b"hello")

    run(main())


def test_redirects_are_not_followed(run: Run) -> None:
    """Where a response points to is for the guest to decide, and then for the policy."""

    async def main() -> None:
        server = Recording(b"HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n")
        async with guest_of(server) as (guest, port):
            assert await guest.get(port) == (302, b"")
            assert len(server.heads[0]) == 1

    run(main())


# Bodies of requests


async def _received(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what came, from the first field on, once it has ended."""
    data = b""
    while not data.endswith((b"0\r\n\r\n", b"end", b"x: y\r\n\r\n")) and (more := await reader.read(65536)):
        data += more
    data = data.partition(b"\r\n")[2]
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data))


@pytest.mark.parametrize(
    ("pieces", "more", "expected"),
    [
        ((b"one", b"end"), {"declared": 6}, b"content-length: 6\r\n\r\noneend"),
        ((b"one", b"two"), {}, b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
        ((b"one",), {"trailers": ((b"x", b"y"),)}, b"chunked\r\n\r\n3\r\none\r\n0\r\nx: y\r\n\r\n"),
    ],
    ids=["sized", "chunked", "with trailers"],
)
def test_uploads(pieces: tuple[bytes, ...], more: dict[str, Any], expected: bytes, run: Run) -> None:
    """A body is sent with the length that is known, else in chunks, and then with its trailers."""

    async def main() -> None:
        async with guest_of(_received) as (guest, port):
            exchange = guest.client.send(guest.call(port, b"POST"), Words(*pieces, **more))
            _, body = await answer_of(exchange)
            assert expected in body.lower()

    run(main())


def test_no_body_of_a_post_is_said(run: Run) -> None:
    """A POST without a body says so, a GET does not."""

    async def main() -> None:
        server = Recording()
        async with guest_of(server) as (guest, port):
            await guest.get(port, method=b"POST")
            await guest.get(port)
        post, get = server.heads[0]
        assert b"content-length: 0" in post.lower()
        assert b"content-length" not in get.lower()

    run(main())


def test_a_body_that_its_guest_drops_ends_the_request(run: Run) -> None:
    """The server never sees an end of a body that has none, and the connection is not used again."""
    seen = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read())

    async def main() -> None:
        async with guest_of(serve) as (guest, port):
            exchange = guest.client.send(guest.call(port, b"POST"), Broken(b"one"))
            await exchange.answered()
            with unanswered("http_request_error"):
                exchange.result()
        assert not seen or not seen[0].endswith(b"0\r\n\r\n")

    run(main())


def test_a_body_longer_than_declared_is_not_sent(run: Run) -> None:
    """The framing that was said is kept, whoever made the body."""

    async def main() -> None:
        async with guest_of(saying(b"", close=False)) as (guest, port):
            exchange = guest.client.send(guest.call(port, b"POST"), Words(b"too much", declared=3))
            await exchange.answered()
            with unanswered("http_request_error"):
                exchange.result()

    run(main())


def test_a_response_may_begin_before_the_request_has_ended(run: Run) -> None:
    """A server that answers as it reads is heard while the guest still writes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while (line := await reader.readline()) != b"0\r\n":
            piece = await reader.readexactly(int(line, 16) + 2)
            writer.write(line + piece)
        await reader.readline()
        writer.write(b"0\r\n\r\n")
        await reader.read()

    class Turns(Words):
        def __init__(self) -> None:
            super().__init__()
            self.wanted: asyncio.Queue[bytes] = asyncio.Queue()

        async def take(self) -> bytes:
            return await self.wanted.get()

    async def main() -> None:
        async with guest_of(serve) as (guest, port):
            upload = Turns()
            exchange = guest.client.send(guest.call(port, b"POST"), upload)
            await exchange.answered()
            for word in (b"one", b"two", b"three"):
                upload.wanted.put_nowait(word)
                assert await exchange.next() == word
            upload.wanted.put_nowait(b"")
            assert await exchange.next() == b""
            assert guest.outbound.open == 1  # it was left clean, and waits

    run(main())


def test_a_server_may_answer_without_reading(run: Run) -> None:
    """What it says is heard, and the guest's body has no taker any more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        await reader.read()

    class Endless(Words):
        async def take(self) -> bytes:
            await asyncio.sleep(0)
            return b"x" * 1000

    async def main() -> None:
        async with guest_of(serve) as (guest, port):
            upload = Endless()
            assert await answer_of(guest.client.send(guest.call(port, b"POST"), upload)) == (413, b"")
            assert upload.is_shut
            assert guest.outbound.open == 0

    run(main())


def test_trailers_come_back(run: Run) -> None:
    """Fields behind a body are there once it is over."""

    async def main() -> None:
        answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nSum: 7\r\n\r\n"
        async with guest_of(saying(answer)) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            assert await answer_of(exchange) == (200, b"x")
            assert exchange.trailers == ((b"Sum", b"7"),)

    run(main())


# Connections


def test_a_connection_is_used_again(run: Run) -> None:
    """Requests of one application to one place, of whatever invocation, share a connection."""

    async def main() -> None:
        server = Recording()
        async with guest_of(server) as (guest, port):
            other = guest.another()
            for each in (guest, other, guest):
                assert await each.get(port) == (200, b"hello")
            assert [len(heads) for heads in server.heads] == [3]
            assert guest.outbound.open == 1

    run(main())


def test_applications_share_no_connection(run: Run) -> None:
    """What one has opened is nothing to another."""

    async def main() -> None:
        server = Recording()
        async with guest_of(server) as (guest, port):
            stranger = Guest(network=guest.network)
            await guest.get(port)
            await stranger.get(port)
            assert [len(heads) for heads in server.heads] == [1, 1]

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ],
    ids=["more than one answer", "said to be closed", "HTTP/1.0"],
)
def test_a_connection_that_is_not_clean_is_not_used_again(answer: bytes, run: Run) -> None:
    """What a server has said too much is never the answer to the next request."""

    async def main() -> None:
        async with guest_of(saying(answer, answer, close=False)) as (guest, port):
            assert await guest.get(port) == (200, b"hello")
            assert await guest.get(port) == (200, b"hello")
            assert guest.outbound.open == 0

    run(main())


def test_what_a_server_says_between_two_requests_is_no_answer(run: Run) -> None:
    """A connection on which anything was said while it was idle is closed."""
    late = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(OK)
            await late.wait()
            writer.write(OK.replace(b"hello", b"evil!"))
            await writer.drain()
            said.set()

    said = asyncio.Event()

    async def main() -> None:
        async with guest_of(serve) as (guest, port):
            assert await guest.get(port) == (200, b"hello")
            late.set()
            await said.wait()
            for _ in range(20):
                await asyncio.sleep(0)
            assert await guest.get(port) == (200, b"hello")

    run(main())


def test_an_idle_connection_that_the_server_closes_is_replaced(run: Run) -> None:
    """The next request goes over a new one, also when the end is only noticed by sending."""

    async def main() -> None:
        async with guest_of(saying(OK)) as (guest, port):
            for _ in range(5):
                assert await guest.get(port) == (200, b"hello")

    run(main())


def test_a_request_is_sent_again_only_if_it_may_be(run: Run) -> None:
    """A server that closes an idle connection upon a request gets a GET again, and a POST not."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")

    async def main() -> None:
        async with guest_of(serve) as (guest, port):
            assert await guest.get(port) == (200, b"hello")
            assert await guest.get(port) == (200, b"hello")
            with unanswered("connection_terminated"):
                await guest.get(port, method=b"POST")

    run(main())


def test_idle_connections_make_room(run: Run) -> None:
    """They count as the application's descriptors, and go when it needs one."""

    async def main() -> None:
        server = Recording()
        async with backend(server) as other, guest_of(server, application_sockets=1) as (guest, port):
            await guest.get(port)
            await guest.get(other)
            assert guest.outbound.open == 1
            descriptor = await guest.sockets.connect(b"127.0.0.1:%d" % port)
            assert guest.outbound.open == 1
            with unanswered("connection_limit_reached"):
                await guest.get(port)
            guest.sockets.close(descriptor)

    run(main())


def test_requests_count_as_descriptors_of_the_invocation(run: Run) -> None:
    """One too many is refused at once, and there is room again once one is over."""

    async def main() -> None:
        async with guest_of(saying(OK, close=False), sockets=2) as (guest, port):
            exchanges = [guest.client.send(guest.call(port)) for _ in range(2)]
            with unanswered("connection_limit_reached"):
                guest.client.send(guest.call(port))
            assert await answer_of(exchanges[0]) == (200, b"hello")
            third = guest.client.send(guest.call(port))
            third.close()

    run(main())


def test_idle_connections_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while without a request a connection is closed."""
    monkeypatch.setattr("serverless_wasm.net.idle.SECONDS", 0.01)

    async def main() -> None:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await saying(OK)(reader, writer)
            assert await reader.read() == b""
            gone.set()

        async with guest_of(serve) as (guest, port):
            await guest.get(port)
            await gone.wait()
            assert guest.outbound.open == 0

    run(main())


@pytest.mark.parametrize("turns", range(12))
def test_a_request_may_be_ended_at_any_time(turns: int, run: Run) -> None:
    """Wherever it is, its connection is closed, and its descriptors are given back."""

    async def main() -> None:
        answer = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\nhello"
        async with guest_of(saying(answer, close=False)) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            for _ in range(turns):
                await asyncio.sleep(0)
            exchange.close()
            exchange.close()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert guest.outbound.open == 0

    run(main())


def test_a_response_that_is_all_here_leaves_its_connection_clean(run: Run) -> None:
    """A guest that has only looked at the status does not cost the next request a connection."""

    async def main() -> None:
        server = Recording()
        async with guest_of(server) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            await exchange.answered()
            exchange.close()
            await guest.get(port)
            assert [len(heads) for heads in server.heads] == [2]

    run(main())


def test_the_end_of_an_invocation_ends_its_requests(run: Run) -> None:
    """Nobody has to remember them."""

    async def main() -> None:
        async with guest_of(saying(b"", close=False)) as (guest, port):
            exchange = guest.client.send(guest.call(port))
            await asyncio.sleep(0)
            guest.sockets.close_all()
            await exchange.answered()
            with unanswered("connection_terminated"):
                exchange.result()

    run(main())


# Policy


def test_what_no_rule_grants_is_not_asked(run: Run) -> None:
    """The scheme counts: what sockets are granted is not for requests; the log has the line to write."""

    async def main() -> None:
        async with backend(Recording()) as port:
            guest = Guest(Policy.for_application([f"tcp://127.0.0.1:{port}"], []))
            with unanswered("http_request_denied"):
                await guest.get(port)
            assert [each[2] for each in guest.log] == [
                f'allowed_outbound_hosts = ["http://127.0.0.1:{port}"]'
            ]
            assert guest.outbound.open == 0

    run(main())


def test_a_guest_cannot_ask_the_service_itself(run: Run) -> None:
    """A rule that is any broader than the very address does not reach where the service listens."""

    async def main() -> None:
        server = Recording()
        async with backend(server) as port:
            own = [Target.parse(b"0.0.0.0:%d" % port)]
            guest = Guest(Policy.for_application(["http://*:*", "http://127.0.0.0/8:*"], [], own))
            for host in (b"127.0.0.1", b"127.0.0.2", b"localhost"):
                with unanswered("http_request_denied"):
                    await guest.get(port, host=host)
            assert "where this service itself listens" in guest.log[0][1]
            assert server.heads == []

    run(main())


def test_each_connection_is_vetted(run: Run) -> None:
    """A name that was harmless once is looked up and judged again for the next connection."""

    async def main() -> None:
        network = Dialled("93.184.216.34", "169.254.169.254")
        guest = Guest(Policy.for_application(["http://rebind.example:80"], []), network)
        with unanswered("connection_refused", "connection_terminated", "destination_ip_unroutable"):
            await guest.get(80, host=b"rebind.example")
        with unanswered("http_request_denied"):
            await guest.get(80, host=b"rebind.example")
        assert network.dialled == ["93.184.216.34"]

    run(main())


def test_a_name_without_an_address(run: Run) -> None:
    """The guest learns that, and nothing of the resolver."""

    async def main() -> None:
        guest = Guest()
        with unanswered("dns_error", "dns_timeout"):
            await guest.get(80, host=b"nowhere.invalid")

    run(main())


def test_nobody_listens(run: Run) -> None:
    """A refused connection is told apart from a failed one."""

    async def main() -> None:
        async with backend(Recording()) as port:
            pass
        with unanswered("connection_refused"):
            await Guest().get(port)

    run(main())


def test_times_are_those_of_the_guest_within_the_limits() -> None:
    """A guest may wait for less than its application, never for longer."""
    limits = Guest(connect_timeout=2, socket_timeout=5).limits

    times = Times.of(limits, connect=60, first_byte=0.5)

    assert (times.connect, times.first_byte, times.between_bytes) == (2, 0.5, 5)


def test_closing_the_network_closes_what_is_idle(run: Run) -> None:
    """At the end of the service no connection is left."""

    async def main() -> None:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await saying(OK)(reader, writer)
            assert await reader.read() == b""
            gone.set()

        async with backend(serve) as port:
            guest = Guest(network=Network())
            await guest.get(port)
            guest.network.close()
            await gone.wait()
            assert guest.outbound.open == 0

    run(main())
