"""Too many clients, or too much for them: who has to go, and who is served all the same (THREATS C2)."""

from __future__ import annotations

import asyncio
import resource

import pytest

from server.doors import GET, Client, Run, Served, hello, post, serving, until
from serverless_wasm.events import ClientsTurnedAway
from serverless_wasm.limits import DoorLimits
from serverless_wasm.messages import Request, Response
from serverless_wasm.server import crowd
from serverless_wasm.server.reader import BETWEEN

MIB = 1024 * 1024


class Gate:
    """A handler that answers `/wait` once it is open, and everything else at once."""

    def __init__(self) -> None:
        self.begun = 0
        self.open = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        """Answers."""
        if request.path == "/wait":
            self.begun += 1
            await self.open.wait()
        return await hello(request)


WAIT = GET.replace(b"/ ", b"/wait ")


async def gone(client: Client) -> bool:
    """Whether the door has closed a connection: then its end comes, sooner or later."""
    return await client.ended() == b""


def told(served: Served) -> list[ClientsTurnedAway]:
    return [event for event in served.events if isinstance(event, ClientsTurnedAway)]


def test_one_too_many_takes_the_place_of_who_is_idle_longest(run: Run) -> None:
    """A client that is being answered keeps its place, however long ago it came."""

    async def main() -> None:
        gate = Gate()
        async with serving(gate, DoorLimits(connections=3)) as served:
            busy, first, second = [await served.connect() for _ in range(3)]
            await busy.send(WAIT)
            await second.ask(GET)
            await first.ask(GET)
            await until(lambda: gate.begun == 1)
            newcomer = await served.connect()
            assert 200 == (await newcomer.ask(GET)).status
            assert await gone(second)
            assert 200 == (await first.ask(GET)).status
            gate.open.set()
            assert 200 == (await busy.answer()).status
            assert [(3, 0, 1, 0)] == [
                (event.limit, event.refused, event.closed, event.cut) for event in told(served)
            ]

    run(main())


@pytest.mark.parametrize("sent", [b"", GET[:9], post(b"Content-Length: 9", body=b"abc")])
def test_a_flood_of_the_silent_locks_nobody_out(run: Run, sent: bytes) -> None:
    """Whether they say nothing, half a head, or half a body that nobody reads."""

    async def main() -> None:
        async with serving(hello, DoorLimits(connections=20)) as served:
            for _ in range(5):
                for _ in range(20):
                    await (await served.connect()).send(sent)
                good = await served.connect()
                assert 200 == (await good.ask(GET)).status
                assert served.door.connections <= 20
            assert 1 == len(told(served))

    run(main())


def test_a_slow_head_goes_before_those_who_came_later(run: Run) -> None:
    """Another byte of the same head does not make it young again."""

    async def main() -> None:
        async with serving(hello, DoorLimits(connections=2)) as served:
            slow = await served.connect()
            await slow.send(GET[:5])
            await until(lambda: served.connection._reader.phase != BETWEEN)
            good = await served.connect()
            await good.ask(GET)
            await slow.send(GET[5:9])
            await served.connect()
            assert await gone(slow)
            assert 200 == (await good.ask(GET)).status

    run(main())


def test_when_all_are_busy_the_newcomer_is_refused(run: Run) -> None:
    """Whoever is being answered has a right to it."""

    async def main() -> None:
        gate = Gate()
        async with serving(gate, DoorLimits(connections=2)) as served:
            clients = [await served.connect() for _ in range(2)]
            for client in clients:
                await client.send(WAIT)
            await until(lambda: gate.begun == 2)
            assert await gone(await served.connect())
            gate.open.set()
            assert [200, 200] == [(await client.answer()).status for client in clients]
            assert [(1, 0)] == [(event.refused, event.closed) for event in told(served)]

    run(main())


def test_a_flood_is_no_flood_of_records(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is told at once; all that follow are counted, and told together."""
    monkeypatch.setattr(crowd, "SILENCE", 0.5)

    async def main() -> None:
        async with serving(hello, DoorLimits(connections=1)) as served:
            for _ in range(30):
                await (await served.connect()).ask(GET)
            await until(lambda: sum(event.closed for event in told(served)) == 29)
            assert 1 == told(served)[0].closed
            assert len(told(served)) <= 5

    run(main())


def test_bodies_that_nobody_takes_make_room_for_those_that_are_taken(run: Run) -> None:
    """The one that is being written longest is cut off, and no client takes its part for the whole."""

    async def handler(request: Request) -> Response:
        return Response(status=200, body=bytes(8 * MIB))

    async def main() -> None:
        async with serving(handler, DoorLimits(unsent=20 * MIB)) as served:
            slow = [await served.connect() for _ in range(3)]
            for client in slow:
                client.stop_reading()
                await client.send(GET)
            await served.until_connections(2)
            for _ in range(3):
                good = await served.connect()
                assert 8 * MIB == len((await good.ask(GET)).body)
                good.close()
            await served.until_connections(1)
            assert served.door._shared.crowd._unsent <= 20 * MIB
            assert told(served)[0].cut == 1

    run(main())


def test_one_body_beyond_the_limit_is_sent_all_the_same(run: Run) -> None:
    """The limit is for all together; an application's own says how large one may be."""

    async def handler(request: Request) -> Response:
        return Response(status=200, body=bytes(3 * MIB))

    async def main() -> None:
        async with serving(handler, DoorLimits(unsent=MIB)) as served:
            client = await served.connect()
            for _ in range(2):
                assert 3 * MIB == len((await client.ask(GET)).body)
            await until(lambda: not served.door._shared.crowd._bodies)
            assert 0 == served.door._shared.crowd._unsent

    run(main())


def test_a_door_takes_no_more_clients_than_half_of_its_descriptors(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the system's limit nobody could be let in at all, not even to be told."""
    monkeypatch.setattr(resource, "getrlimit", lambda which: (4, 4))

    async def main() -> None:
        async with serving(hello) as served:
            for _ in range(5):
                assert 200 == (await (await served.connect()).ask(GET)).status
            assert 2 == served.door.connections
            assert 2 == told(served)[0].limit

    run(main())
