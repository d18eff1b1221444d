"""How connections of the HTTP/1.1 door end: the client leaves, or the door closes (THREATS C10, O9)."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator

import pytest

from server.doors import GET, Client, Run, Served, echo, hello, post, serving, until
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Request, Response
from serverless_wasm.server.h1 import HttpDoor
from serverless_wasm.server.reader import BETWEEN


class Waiting:
    """A handler that says when it has begun, waits, and says how it ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        """Answers once it may."""
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return await hello(request)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The same for a body."""
        yield b"abc"
        self.begun.set()
        try:
            await self.go.wait()
        finally:
            self.cancelled.set()

    async def stream(self, request: Request) -> Response:
        """The handler that sends them."""
        return Response(status=200, body=self.chunks())


async def leave(client: Client, how: str) -> None:
    """Ends a connection from the client's side."""
    if how == "FIN":
        client.writer.close()
    elif how == "half":
        client.writer.write_eof()
    else:
        client.close()  # a StreamWriter's abort() is a FIN; unread data or SO_LINGER make it a reset


LEAVING = ["FIN", "half", "abort"]


@pytest.mark.parametrize("how", LEAVING)
@pytest.mark.parametrize("sent", [GET, GET * 3, post(b"Content-Length: 9", body=b"abc")])
def test_a_client_that_leaves_ends_its_handler(run: Run, how: str, sent: bytes) -> None:
    """Whatever it was waiting for; silently; and the door serves the next client."""

    async def main() -> None:
        handler = Waiting()
        async with serving(handler) as served:
            client = await served.connect()
            await client.send(sent)
            await handler.begun.wait()
            await leave(client, how)
            await handler.cancelled.wait()
            await served.until_connections(0)
            handler.go.set()
            assert 200 == (await (await served.connect()).ask(GET)).status
            assert [] == served.events

    run(main())


@pytest.mark.parametrize("how", LEAVING)
def test_a_client_that_leaves_in_the_middle_of_a_response_ends_it(run: Run, how: str) -> None:
    """The iterator is closed, so that what it holds is freed."""

    async def main() -> None:
        handler = Waiting()
        async with serving(handler.stream) as served:
            client = await served.connect()
            await client.send(GET)
            await client.head()
            await handler.begun.wait()
            await leave(client, how)
            await handler.cancelled.wait()
            assert [] == served.events

    run(main())


def test_a_client_that_leaves_while_its_body_is_awaited(run: Run) -> None:
    """A handler that reads a body is cancelled like any other, not told that the body was bad."""

    async def main() -> None:
        ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

        async def handler(request: Request) -> Response:
            try:
                return await echo(request)
            except BaseException as error:
                ended.set_result(error)
                raise

        async with serving(handler) as served:
            client = await served.connect()
            await client.send(post(b"Content-Length: 9", body=b"abc"))
            await served.until_connections(1)
            client.close()
            assert isinstance(await ended, asyncio.CancelledError)
            assert [] == served.events

    run(main())


def test_a_handler_that_will_not_be_cancelled_harms_nobody(run: Run) -> None:
    """Its answer comes too late for its client, and its body is closed."""

    async def main() -> None:
        handler = Waiting()
        stubborn = asyncio.Event()

        async def chunks() -> AsyncIterator[bytes]:
            yield b""

        async def outer(request: Request) -> Response:
            try:
                return await handler(request)
            except asyncio.CancelledError:
                stubborn.set()
                return Response(status=200, body=chunks() if request.path == "/" else b"late")

        async with serving(outer) as served:
            for path in (b"/", b"/a"):
                handler.begun.clear()
                stubborn.clear()
                client = await served.connect()
                await client.send(GET.replace(b"/ ", path + b" "))
                await handler.begun.wait()
                client.close()
                await stubborn.wait()
            handler.go.set()
            assert 200 == (await (await served.connect()).ask(GET.replace(b"/ ", b"/b "))).status
            assert [] == served.events

    run(main())


def test_the_door_finishes_what_is_in_progress(run: Run) -> None:
    """Idle clients go at once; an answer in progress is finished and says that it is the last."""

    async def main() -> None:
        handler = Waiting()
        async with serving(handler) as served:
            idle, busy = await served.connect(), await served.connect()
            await busy.send(GET + GET)
            await handler.begun.wait()
            await served.until_connections(2)
            closing = asyncio.create_task(served.door.close(30))
            assert b"" == await idle.ended()
            with pytest.raises(ConnectionRefusedError):
                await served.connect()
            assert not closing.done()
            handler.go.set()
            answer = await busy.answer()
            assert (200, b"close") == (answer.status, answer.header(b"connection"))
            assert b"" == await busy.ended()
            busy.close()
            await closing
            assert 0 == served.door.connections

    run(main())


def test_the_door_finishes_a_response_that_has_begun(run: Run) -> None:
    """Its head is out already, so it cannot say that it is the last; the connection ends all the same."""

    async def main() -> None:
        handler = Waiting()
        async with serving(handler.stream) as served:
            client = await served.connect()
            await client.send(GET)
            await client.head()
            await handler.begun.wait()
            closing = asyncio.create_task(served.door.close(30))
            await asyncio.sleep(0.01)
            handler.go.set()
            assert [b"abc"] == [chunk async for chunk in client.chunks()]
            assert b"" == await client.ended()
            client.close()
            await closing

    run(main())


def test_a_body_that_nobody_reads_is_not_in_progress(run: Run) -> None:
    """Its request has been answered; the door does not wait for the rest of it."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            assert 200 == (await client.ask(post(b"Content-Length: 9", body=b"abc"))).status
            await served.door.close(30)
            assert b"" == await client.ended()

    run(main())


def test_a_request_that_has_begun_is_in_progress(run: Run) -> None:
    """Half a head when the door closes is given its time, and answered."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            await client.ask(GET)
            await client.send(GET[:20])
            await until(lambda: served.connection._reader.phase != BETWEEN)
            closing = asyncio.create_task(served.door.close(30))
            await asyncio.sleep(0.01)
            answer = await client.ask(GET[20:])
            assert (200, b"close") == (answer.status, answer.header(b"connection"))
            client.close()
            await closing

    run(main())


def test_a_request_that_is_on_its_way_is_in_progress(run: Run) -> None:
    """What the kernel has received when the door closes is answered before the connection is closed."""

    async def main() -> None:
        async with serving(hello) as served:
            client = await served.connect()
            await client.ask(GET)
            sock = client.writer.get_extra_info("socket")
            plain = socket.socket(fileno=sock.fileno())
            try:
                plain.send(GET)
            finally:
                plain.detach()
            closing = asyncio.create_task(served.door.close(30))
            answer = await client.answer()
            assert 200 == answer.status
            assert answer.header(b"connection") in {b"close", None}
            assert b"" == await client.reader.read()
            client.close()
            await closing

    run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_time_runs_out(run: Run, *, stream: bool) -> None:
    """What is not finished by then is cancelled, and has ended when the door says that it is closed."""

    async def main() -> None:
        handler = Waiting()
        async with serving(handler.stream if stream else handler) as served:
            client = await served.connect()
            await client.send(GET)
            await handler.begun.wait()
            await served.door.close(0.05)
            assert handler.cancelled.is_set()
            assert 0 == served.door.connections
            await client.ended()

    run(main())


def test_the_wait_can_be_cut_short(run: Run) -> None:
    """Cancelling the drain (a second signal) still ends everything."""

    async def main() -> None:
        handler = Waiting()
        async with serving(handler) as served:
            client = await served.connect()
            await client.send(GET)
            await handler.begun.wait()
            closing = asyncio.create_task(served.door.close(30))
            await asyncio.sleep(0.01)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert handler.cancelled.is_set()
            assert 0 == served.door.connections

    run(main())


def test_closing_twice_is_closing_once(run: Run) -> None:
    """And a door that never listened closes too."""

    async def main() -> None:
        async with serving(hello) as served:
            await served.door.close(0)
            await served.door.close(1)
        await HttpDoor(hello, DoorLimits(), lambda event: None).close(1)

    run(main())


def test_sockets_that_are_bound_already(run: Run) -> None:
    """Whoever holds the address hands it in; several doors may share it."""

    async def main() -> None:
        sockets = [socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))]
        door = HttpDoor(hello, DoorLimits(), lambda event: None)
        addresses = await door.listen(sockets)
        assert [f"127.0.0.1:{sock.getsockname()[1]}" for sock in sockets] == list(addresses)
        served = Served(door=door, port=0)
        for address in addresses:
            served.port = int(address.rpartition(":")[2])
            assert 200 == (await (await served.connect()).ask(GET)).status
        for client in served.clients:
            client.close()
        await door.close(1)
        for sock in sockets:
            sock.close()

    run(main())


def living() -> list[object]:
    """What a connection is made of, as far as the interpreter has any."""
    names = {"Connection", "Reader", "Outlet", "Request", "HttpRequestParser"}
    return [item for item in gc.get_objects() if type(item).__name__ in names]


def test_nothing_is_left_of_clients_that_leave(run: Run) -> None:
    """What the door held for them goes with them, without the help of the garbage collector."""

    async def main() -> None:
        handler = Waiting()
        async with serving(handler) as served:
            of_others = living()
            gc.disable()
            try:
                for _ in range(3):
                    clients = [await served.connect() for _ in range(20)]
                    for client in clients:
                        await client.send(GET)
                    await served.until_connections(20)
                    for client in clients:
                        client.close()
                    await served.until_connections(0)
                await until(lambda: len(living()) <= len(of_others))
            finally:
                gc.enable()
            assert [] == served.events

    run(main())
