"""Slow readers: who takes too little of what is written is cut off, and nobody else (THREATS C1, C11)."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from server.doors import GET, Client, Run, Served, serving
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Request, Response

KIB = 1024


def sized(size: int) -> Response:
    return Response(status=200, body=bytes(size))


async def narrow(served: Served) -> Client:
    """A client whose kernel takes a few KiB, and who reads no more than it is told to."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", served.port))
    client = Client(*await asyncio.open_connection(sock=sock, limit=KIB))
    served.clients.append(client)
    return client


@pytest.mark.parametrize("size", [40 * KIB, 8 * KIB * KIB], ids=["in the kernel", "everywhere"])
@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel what is not acknowledged")
def test_a_byte_now_and_then_buys_nothing(run: Run, size: int, *, closes: bool) -> None:
    """Also if the kernel has all of the answer, which is done with for the door by then."""

    async def handler(request: Request) -> Response:
        return sized(size)

    async def main() -> None:
        async with serving(handler, DoorLimits(write_timeout=0.4, write_rate=20_000)) as served:
            client = await narrow(served)
            await client.send(GET if not closes else GET[:-2] + b"Connection: close\r\n\r\n")
            await client.head()
            slow = asyncio.create_task(sip(client))
            await served.until_connections(0)
            slow.cancel()
            with pytest.raises(ConnectionResetError):
                await client.reader.read()

    run(main())


async def sip(client: Client) -> None:
    """Reads a little, now and then."""
    with suppress(ConnectionResetError):
        while await client.reader.read(10):  # noqa: ASYNC110 - it dawdles
            await asyncio.sleep(0.02)


def test_a_reader_that_keeps_up_has_all_the_time(run: Run) -> None:
    """The whole takes many times as long as the limit; each part of it does not."""

    async def handler(request: Request) -> Response:
        return sized(256 * KIB)

    async def main() -> None:
        async with serving(handler, DoorLimits(write_timeout=0.4, write_rate=1000)) as served:
            client = await narrow(served)
            await client.send(GET)
            await client.head()
            left = 256 * KIB
            while left:
                left -= len(await client.reader.read(2 * KIB))
                await asyncio.sleep(0.01)
            assert 200 == (await client.ask(GET[:-2] + b"Connection: close\r\n\r\n")).status

    run(main())


def test_a_stream_that_is_slow_itself_is_not_its_reader_s_fault(run: Run) -> None:
    """What is taken as it comes is never late, however little it is."""

    async def handler(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(100):
                await asyncio.sleep(0.01)
                yield b"x"

        return Response(status=200, body=chunks())

    async def main() -> None:
        async with serving(handler, DoorLimits(write_timeout=0.2, write_rate=1_000_000)) as served:
            assert 100 == len((await (await served.connect()).ask(GET)).body)

    run(main())
