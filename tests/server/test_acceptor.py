"""Who waits to be accepted while the loop is busy, and what becomes of those who left meanwhile."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from server.doors import GET, Run, hello, serving, until
from serverless_wasm.server.acceptor import AT_ONCE, PER_CLIENT
from serverless_wasm.server.sockets import BACKLOG

_RESET = struct.pack("ii", 1, 0)


@contextmanager
def busy(seconds: float) -> Iterator[list[int]]:
    """A loop that works for so long in each of its turns, which are counted."""
    loop, turns, is_over = asyncio.get_running_loop(), [0], False

    def work() -> None:
        if not is_over:
            time.sleep(seconds)
            turns[0] += 1
            loop.call_soon(work)

    work()
    try:
        yield turns
    finally:
        is_over = True


def test_a_crowd_comes_in_while_the_loop_is_busy(run: Run) -> None:
    """Some dozens in each turn, instead of one: they ask, and are answered, and can be counted."""
    crowd = 6 * AT_ONCE
    assert crowd < BACKLOG

    async def main() -> None:
        with ExitStack() as stack:
            async with serving(hello) as served:
                with busy(AT_ONCE * PER_CLIENT) as turns:
                    clients = [
                        stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))
                        for _ in range(crowd)
                    ]
                    await served.until_connections(crowd)
                    assert turns[0] < crowd // 4
                for client in clients:
                    client.sendall(GET)
                    client.settimeout(0)
                loop = asyncio.get_running_loop()
                answers = [await loop.sock_recv(client, 1000) for client in clients]
                assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)

    run(main())


def test_a_loop_that_has_time_takes_no_more_than_its_share(run: Run) -> None:
    """Another process may be waiting for clients, too: nothing is taken but what the loop itself takes."""
    taken: list[int] = []

    async def main() -> None:
        async with serving(hello) as served:
            (acceptor,) = served.door._acceptors
            taking = acceptor._accept

            def accept(sock: socket.socket, most: int) -> None:
                taken.append(most)
                taking(sock, most)

            acceptor._accept = accept  # type: ignore[method-assign]
            for _ in range(20):
                client = await served.connect()
                assert 200 == (await client.ask(GET)).status

    run(main())
    assert taken
    assert 0 == sorted(taken)[len(taken) // 2]


def test_clients_that_have_left_again_are_nobodys_fault(run: Run, quiet: None) -> None:
    """They closed or reset the connection before anybody looked; others are served, and the door closes."""

    async def main() -> None:
        async with serving(hello) as served:
            with busy(AT_ONCE * PER_CLIENT) as turns:
                for number in range(2 * AT_ONCE):
                    with socket.create_connection(("127.0.0.1", served.port)) as client:
                        if number % 2:
                            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                before = turns[0]
                await until(lambda: turns[0] >= before + 10)
            await served.until_connections(0)
            newcomer = await served.connect()
            assert 200 == (await newcomer.ask(GET)).status

    run(main())


def test_who_was_accepted_last_is_answered_when_the_door_closes(run: Run) -> None:
    """A request that has reached the kernel is in progress, also behind a crowd that nobody has seen."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving(hello) as served:
            with busy(AT_ONCE * PER_CLIENT) as turns:
                clients = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(AT_ONCE // 2)]
                for client in clients:
                    client.sendall(GET)
                    client.settimeout(0)
                await until(lambda: turns[0] >= 4)
            await served.door.close(5)
            for client in clients:
                with client:
                    assert (await loop.sock_recv(client, 1000)).startswith(b"HTTP/1.1 200 ")

    run(main())
