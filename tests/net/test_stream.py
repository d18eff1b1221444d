"""Connections that look before they wait: nothing lost, all of it counted, and gone with the invocation."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

import pytest

from net.backends import Log, Run, backend, black_hole, echo, invocation, no_descriptor_left, silent
from serverless_wasm.errors import Failed, NotPermitted, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.net.policy import Policy
from serverless_wasm.net.stream import Stream
from serverless_wasm.net.tcp import Sockets

LOOPBACK = ip_address("127.0.0.1")


def port_of(target: bytes) -> int:
    return int(target.rpartition(b":")[2])


async def connected(sockets: Sockets, port: int) -> Stream:
    stream = sockets.begin(LOOPBACK, port)
    while not stream.is_connected:
        await stream.settle()
    return stream


async def read_all(stream: Stream) -> bytes:
    data = b""
    while (piece := stream.take(65536)) != b"":
        if piece is None:
            await stream.arrive()
        else:
            data += piece
    return data


async def write_all(stream: Stream, data: bytes) -> None:
    while data:
        await stream.room()
        data = data[stream.put(data) :]


@asynccontextmanager
async def a_pair(sockets: Sockets) -> AsyncIterator[tuple[Stream, socket.socket]]:
    """A stream, and the other end as a plain socket."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stream = sockets.begin(LOOPBACK, listening.getsockname()[1])
        other, _ = listening.accept()
        with other:
            while not stream.is_connected:
                await stream.settle()
            yield stream, other


def test_both_ways(run: Run) -> None:
    """A mebibyte comes back as it was sent; after the end of both directions there is an end to be read."""
    data = bytes(range(256)) * 4096

    async def main() -> None:
        async with backend(echo) as port:
            with invocation() as sockets:
                stream = await connected(sockets, port)
                assert stream.local[0] == LOOPBACK
                reading = asyncio.ensure_future(read_all(stream))
                await write_all(stream, data)
                await stream.room()
                stream.stop_sending()
                assert data == await reading
                assert stream.ready == 0

    with no_descriptor_left():
        run(main())


def test_nothing_there_is_none(run: Run) -> None:
    """Before anything has arrived there is nothing to take; what is there can be seen without taking it."""

    async def main() -> None:
        with invocation() as sockets:
            async with a_pair(sockets) as (stream, other):
                assert (None, None) == (stream.ready, stream.take(10))
                other.sendall(b"hello")
                await asyncio.gather(stream.arrive(), stream.arrive())  # several may wait
                assert stream.ready == 1
                assert (b"he", b"llo") == (stream.take(2), stream.take(10))
                assert stream.take(1) is None

    run(main())


def test_refused_connection_is_told_again(run: Run) -> None:
    """Whoever asks twice hears the same failure twice: the system would tell it once."""

    async def main() -> None:
        with invocation() as sockets, socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            stream = sockets.begin(LOOPBACK, bound.getsockname()[1])
            for _ in range(2):
                with pytest.raises(ConnectionRefusedError):
                    await until_connected(stream)

    with no_descriptor_left():
        run(main())


async def until_connected(stream: Stream) -> None:
    while not stream.is_connected:
        await stream.settle()


def test_black_hole_meets_the_deadline(run: Run) -> None:
    """Where no SYN is answered the connection fails at its deadline, for all that wait."""

    async def main() -> None:
        with black_hole() as target, invocation(limits=Limits(connect_timeout=0.05)) as sockets:
            stream = sockets.begin(LOOPBACK, port_of(target))
            assert not stream.is_connected
            failures = await asyncio.gather(
                until_connected(stream), until_connected(stream), return_exceptions=True
            )
            assert [errno.ETIMEDOUT] * 2 == [getattr(each, "errno", None) for each in failures]

    with no_descriptor_left():
        run(main())


def test_silence_meets_the_deadline(run: Run) -> None:
    """A server that says nothing is given up; the wait itself does not fail, the next read does."""

    async def main() -> None:
        with silent() as target, invocation(limits=Limits(socket_timeout=0.05)) as sockets:
            stream = await connected(sockets, port_of(target))
            await stream.arrive()
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    stream.take(1)

    run(main())


def test_a_server_that_does_not_read(run: Run) -> None:
    """What cannot be sent in time fails; until then no more than a chunk is held, and nothing more taken."""

    async def main() -> None:
        with silent() as target, invocation(limits=Limits(socket_timeout=0.2)) as sockets:
            stream = await connected(sockets, port_of(target))
            while stream.left:
                stream.put(bytes(stream.left))
            assert stream.put(b"more") == 0
            with pytest.raises(TimeoutError):
                await stream.room()
            for asked in (lambda: stream.left, stream.flush, lambda: stream.put(b"")):
                with pytest.raises(TimeoutError):
                    asked()

    with no_descriptor_left():
        run(main())


def test_reset_is_told_again(run: Run) -> None:
    """A connection that was reset fails each read, instead of ending well at the second."""

    async def main() -> None:
        with invocation() as sockets:
            async with a_pair(sockets) as (stream, other):
                other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                other.close()
                with suppress(OSError):
                    await stream.arrive()
                for _ in range(2):
                    with pytest.raises(ConnectionResetError):
                        stream.take(1)

    run(main())


def test_bytes_are_counted(run: Run) -> None:
    """No more is sent or received than a descriptor may, and exactly that much is fine."""

    async def main() -> None:
        with invocation(limits=Limits(socket_received=3, socket_sent=5)) as sockets:
            async with a_pair(sockets) as (stream, other):
                assert stream.left == 5
                assert stream.put(b"1234567") == 5
                with pytest.raises(OSError, match="socket_sent"):
                    stream.put(b"6")
                assert other.recv(100) == b"12345"
                other.sendall(b"abcd")
                await stream.arrive()
                assert stream.take(100) == b"abc"
                for _ in range(2):
                    with pytest.raises(OSError, match="socket_received"):
                        stream.take(100)

    run(main())


def test_all_that_may_be_received_ends_well(run: Run) -> None:
    """A stream that ends where its limit is has not passed it."""

    async def main() -> None:
        with invocation(limits=Limits(socket_received=3)) as sockets:
            async with a_pair(sockets) as (stream, other):
                other.sendall(b"abc")
                other.close()
                assert await read_all(stream) == b"abc"

    run(main())


def test_shut_down(run: Run) -> None:
    """A direction that was shut is closed at once, and again; the other side gets what was under way."""

    async def main() -> None:
        with invocation() as sockets:
            async with a_pair(sockets) as (stream, other):
                sent = 0
                while stream.left:
                    sent += stream.put(bytes(stream.left))
                for _ in range(2):
                    stream.stop_sending()
                    stream.stop_receiving()
                with pytest.raises(BrokenPipeError):
                    stream.put(b"x")
                assert stream.take(1) == b""
                other.setblocking(False)
                loop = asyncio.get_running_loop()
                while data := await loop.sock_recv(other, 65536):
                    sent -= len(data)
                assert sent == 0

    run(main())


def test_it_ends_with_the_invocation(run: Run) -> None:
    """Whoever still waits is woken, what was not sent is dropped, and a late question has an answer."""

    async def main() -> None:
        with silent() as target, invocation() as sockets:
            stream = await connected(sockets, port_of(target))
            while stream.left:
                stream.put(bytes(stream.left))
            reading, writing = (asyncio.ensure_future(each) for each in (stream.arrive(), stream.room()))
            await asyncio.sleep(0)
            sockets.close_all()
            sockets.close_all()
            await asyncio.gather(reading, writing, return_exceptions=True)
            assert stream.take(1) == b""
            await stream.arrive()
            await stream.settle()
            with pytest.raises(OSError, match="shut down"):
                stream.put(b"x")
            with pytest.raises(Failed, match="over"):
                sockets.begin(LOOPBACK, port_of(target))
            with pytest.raises(Failed, match="over"):
                sockets.look_up("localhost")

    with no_descriptor_left():
        run(main())


def test_a_cancelled_wait_leaves_the_stream_usable(run: Run) -> None:
    """Waiting may be given up, and begun again, in any direction."""

    async def main() -> None:
        with invocation() as sockets:
            async with a_pair(sockets) as (stream, other):
                waiting = asyncio.ensure_future(stream.arrive())
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                other.sendall(b"x")
                await stream.arrive()
                assert stream.take(1) == b"x"

    run(main())


def test_they_are_counted_with_descriptors(run: Run) -> None:
    """A stream is one of the invocation's sockets until it is closed, and so is one that has failed."""

    async def main() -> None:
        async with backend(echo) as port:
            with invocation(limits=Limits(sockets=2)) as sockets:
                first = await connected(sockets, port)
                await sockets.connect(b"127.0.0.1:%d" % port)
                with pytest.raises(TooLarge):
                    sockets.begin(LOOPBACK, port)
                first.close()
                first.close()
                assert (await connected(sockets, port)).left

    with no_descriptor_left():
        run(main())


def test_the_policy_decides(run: Run) -> None:
    """An address without an entry is refused before a socket exists, and the log hears which it takes."""
    log = Log()

    async def main() -> None:
        with invocation(Policy.for_application(["tcp://*:*"], []), log=log) as sockets:
            with pytest.raises(NotPermitted):
                sockets.begin(LOOPBACK, 80)
            with pytest.raises(NotPermitted):
                sockets.begin(ip_address("169.254.169.254"), 80)
            assert not sockets.exchanges

    with no_descriptor_left():
        run(main())
    assert ["127.0.0.1:80", "169.254.169.254:80"] == [target for target, *_ in log]
    assert 'allowed_outbound_hosts = ["tcp://127.0.0.1:80"]' == log[0][2]


def test_a_write_without_room_loses_nothing(run: Run) -> None:
    """What is under way stays so, whatever is tried meanwhile."""

    async def main() -> None:
        with invocation() as sockets:
            async with a_pair(sockets) as (stream, other):
                sent = b""
                while stream.left:
                    chunk = bytes([len(sent) // 65536 % 251]) * stream.left
                    sent += chunk[: stream.put(chunk)]
                assert (0, 0) == (stream.put(b"more"), stream.put(b""))
                stream.stop_sending()
                other.setblocking(False)
                loop, received = asyncio.get_running_loop(), b""
                while data := await loop.sock_recv(other, 65536):
                    received += data
                assert received == sent

    run(main())
