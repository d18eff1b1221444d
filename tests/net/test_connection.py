"""What one connection may carry, and for how long an operation may wait, on real backends (THREATS G30)."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import closing
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.backends import Run, Serve, backend, full, invocation, no_descriptor_left, silent, taking
from serverless_wasm.alarms import Alarms
from serverless_wasm.errors import Failed
from serverless_wasm.limits import Limits
from serverless_wasm.net.connection import Connection
from serverless_wasm.net.policy import Target
from serverless_wasm.net.tcp import Network

LOCAL = ip_address("127.0.0.1")
HASTY = Limits(socket_timeout=0.05)


def sends(data: bytes) -> Serve:
    """A backend that sends some bytes and ends the stream."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return serve


def test_a_neighbour_is_connected_without_a_turn_of_the_loop(run: Run) -> None:
    """A backend on this machine that listens has answered before anybody could wait for it."""

    async def main() -> None:
        soon = asyncio.get_running_loop().time() + 1
        with (
            socket.create_server(("127.0.0.1", 0)) as backend,
            closing(Connection(LOCAL, Limits(), Alarms())) as connection,
        ):
            connecting = connection.connect(LOCAL, backend.getsockname()[1], soon)
            with pytest.raises(StopIteration):
                connecting.send(None)
            with backend.accept()[0] as accepted:
                accepted.sendall(b"welcome")
                assert b"welcome" == await connection.read(100)

    with no_descriptor_left():
        run(main())


def test_a_backend_that_is_full_is_waited_for(run: Run) -> None:
    """Up to the deadline; and no longer than until it has room."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with full() as backend:
            port = backend.getsockname()[1]
            with closing(Connection(LOCAL, Limits(), Alarms())) as late, pytest.raises(TimeoutError):
                await late.connect(LOCAL, port, loop.time() + 0.05)
            with closing(Connection(LOCAL, Limits(), Alarms())) as connection:
                connecting = loop.create_task(connection.connect(LOCAL, port, loop.time() + 60))
                await asyncio.sleep(0.01)
                assert not connecting.done()
                with taking(backend):
                    await connecting

    with no_descriptor_left():
        run(main())


# Time


def test_read_meets_its_deadline(run: Run) -> None:
    """A backend that accepts and says nothing is Failed; the descriptor is still there, read or closed."""
    speak, spoken = asyncio.Event(), asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await speak.wait()
        writer.write(b"late")
        spoken.set()

    async def main() -> None:
        async with backend(serve) as port:
            with invocation(limits=HASTY) as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                for _ in range(2):
                    with pytest.raises(Failed, match="in time"):
                        await sockets.read(descriptor, 1)
                speak.set()
                await spoken.wait()
                assert await sockets.read(descriptor, 100) == b"late"
                sockets.close(descriptor)

    with no_descriptor_left():
        run(main())


def test_write_meets_its_deadline(run: Run) -> None:
    """A backend that never reads is Failed; the descriptor can be closed, and the next one written to."""

    async def main() -> None:
        with silent() as target, invocation(limits=HASTY) as sockets:
            descriptor = await sockets.connect(target)
            with pytest.raises(Failed, match="in time"):
                await sockets.write(descriptor, bytes(64 << 20))
            sockets.close(descriptor)
            assert await sockets.write(await sockets.connect(target), b"again") == 5

    with no_descriptor_left():
        run(main())


def test_progress_does_not_put_a_write_off(run: Run) -> None:
    """The deadline is for the whole write, however steadily the backend takes a little of it."""
    taken: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            taken.append(data)
            await asyncio.sleep(0.001)  # a slow backend, not a way to wait for anything

    async def main() -> None:
        async with backend(serve) as port:
            with invocation(limits=HASTY) as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                with pytest.raises(Failed, match="in time"):
                    await sockets.write(descriptor, bytes(64 << 20))

    run(main())
    assert len(taken) > 1


def test_a_wait_that_is_over_leaves_no_deadline(run: Run) -> None:
    """A thousand reads that had to wait leave no alarm set, and neither does a cancelled one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1):
            await asyncio.sleep(0)
            writer.write(b"x")

    async def main() -> None:
        async with backend(serve) as port:
            network = Network()
            with invocation(network=network) as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                for _ in range(1000):
                    await sockets.write(descriptor, b"x")
                    assert await sockets.read(descriptor, 1) == b"x"
                task = asyncio.create_task(sockets.read(descriptor, 1))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert all(alarm.when == float("inf") for _, _, alarm in network._alarms._heap)

    run(main())


def test_bytes_at_the_deadline_are_not_lost(run: Run) -> None:
    """When bytes and the deadline come in the same turn of the loop, the read gets the bytes."""

    async def main() -> None:
        with silent() as target:
            alarms, where = Alarms(), Target.parse(target)
            assert not isinstance(where.host, str)
            now = asyncio.get_running_loop().time()
            connection = Connection(where.host, Limits(), alarms)
            await connection.connect(where.host, where.port, now + 60)
            ready = connection._readable.arm(now + 60)
            ready.set_result(None)
            connection._readable.ring()
            await ready
            connection._readable.disarm()
            with pytest.raises(TimeoutError):
                connection._readable.arm(now)
            connection.close()

    run(main())


# Bytes


@settings(max_examples=40, deadline=None)
@given(sent=st.integers(0, 40), limit=st.integers(0, 40), size=st.integers(1, 50))
def test_received_bytes_are_limited(sent: int, limit: int, size: int) -> None:
    """A guest gets every byte up to the limit, then the end if that was all, else Failed."""
    data = os.urandom(sent)

    async def main() -> None:
        async with backend(sends(data)) as port:
            with invocation(limits=Limits(socket_received=limit)) as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                got = b""
                while len(got) < min(sent, limit):
                    got += await sockets.read(descriptor, size)
                assert got == data[:limit]
                if sent <= limit:
                    assert await sockets.read(descriptor, size) == b""
                else:
                    with pytest.raises(Failed, match=f"socket_received: more than {limit}"):
                        await sockets.read(descriptor, size)

    asyncio.run(main())


def test_a_stream_without_end_is_cut(run: Run) -> None:
    """Of a backend that sends for ever a guest gets what is allowed; another descriptor has its own share."""
    limit = 1_000_000

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(bytes(65536))
            await writer.drain()

    async def main() -> None:
        async with backend(serve) as port:
            with invocation(limits=Limits(socket_received=limit)) as sockets:
                for _ in range(2):
                    descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                    got = 0
                    while got < limit:
                        got += len(await sockets.read(descriptor, 1 << 20))
                    assert got == limit
                    for _ in range(3):
                        with pytest.raises(Failed, match="socket_received"):
                            await sockets.read(descriptor, 1 << 20)

    with no_descriptor_left():
        run(main())


def test_sent_bytes_are_limited(run: Run) -> None:
    """A write beyond the limit is refused whole: the backend gets nothing of it, and what fits still goes."""
    received = bytearray()
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            received.extend(data)
        ended.set()

    async def main() -> None:
        async with backend(serve) as port:
            with invocation(limits=Limits(socket_sent=10)) as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                assert await sockets.write(descriptor, b"abcdef") == 6
                with pytest.raises(Failed, match="socket_sent: more than 10"):
                    await sockets.write(descriptor, b"-----")
                assert await sockets.write(descriptor, b"ghij") == 4
                assert await sockets.write(descriptor, b"") == 0
                with pytest.raises(Failed, match="socket_sent"):
                    await sockets.write(descriptor, b"-")
                sockets.close(descriptor)
                await ended.wait()
        assert received == b"abcdefghij"

    run(main())
