"""Guests' TCP: reading, writing, descriptors and cancellation, on real backends."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import struct

import pytest

from net.backends import (
    Run,
    backend,
    black_hole,
    echo,
    full,
    invocation,
    no_descriptor_left,
    silent,
    taking,
    waiting,
)
from serverless_wasm.errors import Failed, NotPermitted, NotThere, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.net.policy import Policy

# Reading and writing


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_echo(host: str, run: Run) -> None:
    """Bytes go out and come back, over IPv4, IPv6 and a name."""

    async def main() -> None:
        served = "127.0.0.1" if host == "localhost" else host
        target = f"[{host}]" if ":" in host else host
        async with backend(echo, served) as port:
            with invocation(Policy.for_application([f"tcp://{target}:*"], [])) as sockets:
                descriptor = await sockets.connect(f"{target}:{port}".encode())
                assert descriptor == 0
                assert await sockets.write(descriptor, b"ping") == 4
                assert await sockets.read(descriptor, 65536) == b"ping"
                assert await sockets.write(descriptor, b"") == 0
                sockets.close(descriptor)

    with no_descriptor_left():
        run(main())


def test_read_waits_for_a_byte(run: Run) -> None:
    """A read returns as soon as there is something, b"" for size 0 at once and at the end."""
    speak = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await speak.wait()
        writer.write(b"abc")

    async def main() -> None:
        async with backend(serve) as port:
            with invocation() as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                assert await sockets.read(descriptor, 0) == b""
                task = await waiting(sockets.read(descriptor, 2))
                assert not task.done()
                speak.set()
                assert await task == b"ab"
                assert await sockets.read(descriptor, 2) == b"c"
                assert await sockets.read(descriptor, 2) == b""
                assert await sockets.read(descriptor, 2) == b""

    run(main())


def test_read_is_capped(run: Run) -> None:
    """However much a guest asks for, one read returns 64 KiB at most, and nothing is lost."""
    data = os.urandom(300_000)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    async def main() -> None:
        async with backend(serve) as port:
            with invocation() as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                chunks = []
                while chunk := await sockets.read(descriptor, 2**64 - 1):
                    chunks.append(chunk)
                assert max(map(len, chunks)) <= 65536
                assert b"".join(chunks) == data

    run(main())


def test_write_writes_all_of_it(run: Run) -> None:
    """A write larger than every buffer arrives whole, while a read waits on the same descriptor."""
    data = os.urandom(1 << 20) * 8

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = await reader.readexactly(len(data))
        writer.write(b"same" if received == data else b"different")

    async def main() -> None:
        async with backend(serve) as port:
            with invocation() as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                answer = await waiting(sockets.read(descriptor, 100))
                assert await sockets.write(descriptor, data) == len(data)
                assert await answer == b"same"

    run(main())


def test_small_writes_are_not_delayed(run: Run) -> None:
    """Nagle's algorithm is off: a guest's request leaves when it is written."""

    async def main() -> None:
        with silent() as target, invocation() as sockets:
            connection = sockets._connections[await sockets.connect(target)]
            assert connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(main())


def test_reset_is_failed(run: Run) -> None:
    """A reset while a read waits is Failed, and so is every write after it."""
    reset = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reset.wait()
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def main() -> None:
        async with backend(serve) as port:
            with invocation() as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                task = await waiting(sockets.read(descriptor, 1))
                reset.set()
                with pytest.raises(Failed, match="reset"):
                    await task
                with pytest.raises(Failed):
                    await sockets.write(descriptor, b"x")
                sockets.close(descriptor)

    with no_descriptor_left():
        run(main())


# Descriptors


def test_descriptors_belong_to_one_invocation(run: Run) -> None:
    """Scanning every number finds nothing of another invocation, nor of the process (THREATS G25)."""
    numbers = [*range(-3, 2000), 65535, 2**31 - 1, -(2**31), 2**63]

    async def main() -> None:
        async with backend(echo) as port:
            with invocation() as victim, invocation() as scanner:
                descriptor = await victim.connect(b"127.0.0.1:%d" % port)
                for number in numbers:
                    for operation in (
                        scanner.read(number, 1),
                        scanner.read(number, 0),
                        scanner.write(number, b"x"),
                    ):
                        with pytest.raises(NotThere):
                            await operation
                    with pytest.raises(NotThere):
                        scanner.close(number)
                await victim.write(descriptor, b"mine")
                assert await victim.read(descriptor, 65536) == b"mine"

    run(main())


def test_descriptors_are_never_used_twice(run: Run) -> None:
    """A closed descriptor stays closed; the next one has the next number."""

    async def main() -> None:
        with silent() as target, invocation() as sockets:
            assert await sockets.connect(target) == 0
            sockets.close(0)
            assert await sockets.connect(target) == 1
            for operation in (sockets.read(0, 1), sockets.write(0, b"x")):
                with pytest.raises(NotThere):
                    await operation
            with pytest.raises(NotThere):
                sockets.close(0)

    run(main())


def test_descriptors_are_limited(run: Run) -> None:
    """Open descriptors and connects under way count together; what is closed or fails gives room."""

    async def main() -> None:
        with silent() as target, invocation(limits=Limits(sockets=3)) as sockets:
            with pytest.raises(NotPermitted):
                await sockets.connect(b"127.1:80")
            results = await asyncio.gather(
                *[sockets.connect(target) for _ in range(5)], return_exceptions=True
            )
            assert [0, 1, 2] == sorted(result for result in results if isinstance(result, int))
            assert sum(isinstance(result, TooLarge) for result in results) == 2
            sockets.close(1)
            assert await sockets.connect(target) == 3
            with pytest.raises(TooLarge, match="3"):
                await sockets.connect(target)

    with no_descriptor_left():
        run(main())


def test_a_system_without_descriptors_has_no_room(run: Run) -> None:
    """When the process has no file left the guest sees TooLarge, and its neighbours go on."""

    async def main() -> None:
        async with backend(echo) as port:
            with invocation() as sockets:
                target = b"127.0.0.1:%d" % port
                assert await sockets.connect(target) == 0
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                lowest_free = os.dup(0)
                os.close(lowest_free)
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
                try:
                    with pytest.raises(TooLarge):
                        await sockets.connect(target)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                await sockets.write(0, b"on")
                assert await sockets.read(0, 2) == b"on"
                assert await sockets.connect(target) == 1

    run(main())


# Cancellation


def test_cancelled_read_leaves_nothing_behind(run: Run) -> None:
    """The number of a socket closed under a cancelled read is at once another's, who gets its own bytes.

    The close and the new owner both come before the reader has seen its cancellation.
    """

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with silent() as target, invocation() as sockets:
            descriptor = await sockets.connect(target)
            number = sockets._connections[descriptor]._socket.fileno()
            task = await waiting(sockets.read(descriptor, 1))
            near, far = socket.socketpair()
            task.cancel()
            sockets.close_all()
            with near, far, socket.socket(fileno=os.dup2(near.fileno(), number)) as reused:
                arrived = asyncio.Event()
                loop.add_reader(number, arrived.set)
                with pytest.raises(asyncio.CancelledError):
                    await task
                far.send(b"x")
                await arrived.wait()
                loop.remove_reader(number)
                assert reused.recv(1) == b"x"

    with no_descriptor_left():
        run(main())


def test_descriptor_works_after_a_cancelled_read(run: Run) -> None:
    """A cancelled read takes no byte with it, and the next one waits anew."""

    async def main() -> None:
        async with backend(echo) as port:
            with invocation() as sockets:
                descriptor = await sockets.connect(b"127.0.0.1:%d" % port)
                for _ in range(3):
                    task = await waiting(sockets.read(descriptor, 10))
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    await sockets.write(descriptor, b"again")
                    assert await sockets.read(descriptor, 10) == b"again"

    run(main())


def test_cancelled_write_leaves_nothing_behind(run: Run) -> None:
    """A write that waits for a backend that does not read can be cancelled and closed."""

    async def main() -> None:
        with silent() as target, invocation() as sockets:
            descriptor = await sockets.connect(target)
            task = await waiting(sockets.write(descriptor, bytes(64 << 20)))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            sockets.close(descriptor)

    with no_descriptor_left():
        run(main())


def test_cancelled_connect_leaves_nothing_behind(run: Run) -> None:
    """A connect to a black hole can be cancelled, and frees its socket and its room."""

    async def main() -> None:
        with black_hole() as target, invocation(limits=Limits(sockets=1)) as sockets:
            for _ in range(3):
                task = await waiting(sockets.connect(target))
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    with no_descriptor_left():
        run(main())


def test_close_wakes_the_waiter(run: Run) -> None:
    """Whoever waits on a descriptor that another closes gets Failed instead of waiting for ever."""

    async def main() -> None:
        with silent() as target, invocation() as sockets:
            descriptor = await sockets.connect(target)
            task = await waiting(sockets.read(descriptor, 1))
            with pytest.raises(Failed, match="already waits"):
                await sockets.read(descriptor, 1)
            sockets.close(descriptor)
            with pytest.raises(Failed):
                await task

    with no_descriptor_left():
        run(main())


def test_end_of_invocation_closes_connects_under_way(run: Run) -> None:
    """A connect that succeeds after close_all is closed, not kept; close_all may be called again."""

    async def main() -> None:
        with silent() as target, full() as listening, invocation() as sockets:
            await sockets.connect(target)
            task = await waiting(sockets.connect(b"127.0.0.1:%d" % listening.getsockname()[1]))
            sockets.close_all()
            sockets.close_all()
            with taking(listening), pytest.raises(Failed, match="over"):
                await task
            with pytest.raises(NotThere):
                await sockets.read(0, 1)

    with no_descriptor_left():
        run(main())
