"""An application's descriptors: counted over its invocations, and given back however an operation ends."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from net.backends import (
    ANYWHERE,
    Log,
    Run,
    backend,
    black_hole,
    echo,
    join_lookups,
    no_descriptor_left,
    silent,
)
from serverless_wasm.errors import CapabilityError, Failed, NotThere, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.net.policy import Policy
from serverless_wasm.net.resolve import Resolver
from serverless_wasm.net.tcp import Network, Sockets

INVOCATIONS = 3
LIMITS = Limits(sockets=3, application_sockets=7, connect_timeout=0.2, socket_timeout=0.02)
LOOPS = [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]


# The limit


def test_an_application_has_a_limit_of_its_own(run: Run) -> None:
    """A hundred greedy invocations hold what their application may; another application has its own share."""
    limits = Limits(sockets=8, application_sockets=50)

    async def grab(sockets: Sockets, target: bytes) -> int:
        ends = [await asyncio.gather(sockets.connect(target), return_exceptions=True) for _ in range(30)]
        assert all(isinstance(end, int | TooLarge) for (end,) in ends)
        return sum(isinstance(end, int) for (end,) in ends)

    async def main() -> None:
        async with backend(echo) as port:
            network, target = Network(), b"127.0.0.1:%d" % port
            greedy = network.for_application(ANYWHERE, limits)
            full, *crowd, poor = [greedy.for_invocation(Log()) for _ in range(100)]
            assert await grab(full, target) == 8
            held = await asyncio.gather(*[grab(sockets, target) for sockets in crowd])
            assert (sum(held), greedy.open) == (42, 50)

            neighbour = network.for_application(ANYWHERE, limits).for_invocation(Log())
            descriptor = await neighbour.connect(target)
            await neighbour.write(descriptor, b"well")
            assert await neighbour.read(descriptor, 9) == b"well"
            neighbour.close_all()

            with pytest.raises(TooLarge, match=r"^sockets: 8 are open"):
                await full.connect(target)
            with pytest.raises(TooLarge, match=r"^application_sockets: 50 are open"):
                await poor.connect(target)
            full.close(0)
            assert await poor.connect(target) == 0
            for sockets in (full, *crowd, poor):
                sockets.close_all()
            assert greedy.open == 0

    with no_descriptor_left():
        run(main())


# Every end


class World:
    """A small internet: each of its places ends a connection attempt in another way."""

    def __init__(self, go_on: threading.Event, silent: bytes, hole: bytes, refusing: bytes) -> None:
        self._go_on = go_on
        port = silent.rpartition(b":")[2]
        self.places = {
            "silent": silent,
            "named": b"named:" + port,
            "hanging": b"hanging:" + port,
            "unknown": b"unknown:" + port,
            "private": b"private:" + port,
            "hole": hole,
            "refusing": refusing,
            "forbidden": b"10.0.0.1:80",
            "misspelt": b"127.1:80",
        }
        named = [
            place.decode() for name, place in self.places.items() if name not in ("forbidden", "misspelt")
        ]
        self.policy = Policy.for_application([], named)

    def look_up(self, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        """In the place of getaddrinfo."""
        if host == "hanging":
            self._go_on.wait()
        if host == "unknown":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 1, 6, "", ("169.254.169.254" if host == "private" else "127.0.0.1", port))]


@contextmanager
def world() -> Iterator[World]:
    """Listening sockets that nobody serves; at the end no thread is left that looks a name up."""
    go_on = threading.Event()
    with ExitStack() as stack:
        stack.callback(join_lookups)
        stack.callback(go_on.set)
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))
        refusing = b"127.0.0.1:%d" % bound.getsockname()[1]
        yield World(go_on, stack.enter_context(silent()), stack.enter_context(black_hole()), refusing)


class Scenario:
    """A few invocations of one application, and what they are in the middle of."""

    def __init__(self, world: World) -> None:
        self.network = Network(resolver=Resolver(getaddrinfo=world.look_up))
        self.application = self.network.for_application(world.policy, LIMITS)
        self.invocations = [self.application.for_invocation(Log()) for _ in range(INVOCATIONS)]
        self.places = world.places
        self.connecting: list[tuple[Sockets, asyncio.Task[Any]]] = []
        self.others: list[asyncio.Task[Any]] = []

    def connect(self, number: int, place: str) -> None:
        sockets = self.invocations[number]
        self.connecting.append((sockets, asyncio.create_task(sockets.connect(self.places[place]))))

    def read(self, number: int, descriptor: int) -> None:
        self._start(self.invocations[number].read(descriptor, 10))

    def write(self, number: int, descriptor: int) -> None:
        self._start(self.invocations[number].write(descriptor, bytes(4 << 20)))

    def close(self, number: int, descriptor: int) -> None:
        with suppress(NotThere):
            self.invocations[number].close(descriptor)

    def end(self, number: int, _: int) -> None:
        self.invocations[number].close_all()

    def cancel(self, number: int, which: int) -> None:
        tasks = [*self.others, *[task for _, task in self.connecting]]
        for task in tasks[number :: which + 1]:
            task.cancel()

    def _start(self, operation: Coroutine[Any, Any, Any]) -> None:
        self.others.append(asyncio.create_task(operation))

    def check(self) -> None:
        """The count is that of open descriptors and of connects that have begun and not ended."""
        held = [len(sockets._connections) for sockets in self.invocations]
        under_way = [owner for owner, task in self.connecting if not task.done()]
        assert self.application.open == sum(held) + len(under_way) <= LIMITS.application_sockets
        for sockets, count in zip(self.invocations, held, strict=True):
            assert sockets._open == count + under_way.count(sockets) <= LIMITS.sockets

    async def finish(self) -> None:
        """Ends every invocation as the application does: what waits is cancelled, then all is closed."""
        tasks = [*self.others, *[task for _, task in self.connecting]]
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, int | bytes | CapabilityError | asyncio.CancelledError) for end in ends)
        for sockets in self.invocations:
            sockets.close_all()
        self.network.close()
        assert self.application.open == 0
        assert all(alarm.when == float("inf") for _, _, alarm in self.network._alarms._heap)


PLACES = ("silent", "named", "hanging", "unknown", "private", "hole", "refusing", "forbidden", "misspelt")
WHO = st.integers(0, INVOCATIONS - 1)
STEPS = st.one_of(
    st.tuples(st.just("connect"), WHO, st.sampled_from(PLACES)),
    st.tuples(st.just("connect"), WHO, st.just("silent")),
    st.tuples(st.sampled_from(["read", "write", "close", "end", "cancel"]), WHO, st.integers(0, 3)),
    st.tuples(st.just("pause"), st.integers(0, 4), st.just(0)),
)


@pytest.mark.parametrize("new_loop", LOOPS)
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEPS, max_size=30))
def test_every_end_gives_its_descriptor_back(new_loop: Any, steps: list[tuple[str, int, Any]]) -> None:
    """Refused, failed, late, or cancelled in a look-up, a connect, a read or a write: nothing is left."""
    new_loop().close()  # libuv keeps two descriptors of the first loop for good

    async def main(internet: World) -> None:
        scenario = Scenario(internet)
        for name, number, detail in steps:
            if name == "pause":
                await asyncio.sleep(0.01 * number)
            else:
                getattr(scenario, name)(number, detail)
                await asyncio.sleep(0)  # what was created begins, and takes its descriptor or is refused
            scenario.check()
        await scenario.finish()

    with no_descriptor_left(), world() as internet, asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main(internet))


@pytest.mark.parametrize("place", PLACES)
def test_cancelled_at_every_turn(place: str) -> None:
    """A connect that is cancelled after any number of the loop's turns gives its only descriptor back."""

    async def main(internet: World) -> None:
        network = Network(resolver=Resolver(getaddrinfo=internet.look_up))
        application = network.for_application(internet.policy, Limits(sockets=1, application_sockets=1))
        for turns in range(8):
            sockets = application.for_invocation(Log())
            task = asyncio.create_task(sockets.connect(internet.places[place]))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            (end,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(end, int | CapabilityError | asyncio.CancelledError)
            assert not isinstance(end, TooLarge)
            sockets.close_all()
            assert application.open == 0
        network.close()

    with no_descriptor_left(), world() as internet:
        asyncio.run(main(internet))


def test_a_connect_that_outlives_its_invocation_counts_until_it_ends(run: Run) -> None:
    """It holds a socket until it fails or is closed, and so it is counted."""

    async def main() -> None:
        with black_hole() as hole:
            application = Network().for_application(ANYWHERE, Limits(connect_timeout=0.05))
            sockets = application.for_invocation(Log())
            task = asyncio.create_task(sockets.connect(hole))
            await asyncio.sleep(0)
            sockets.close_all()
            assert application.open == 1
            with pytest.raises(Failed, match="in time"):
                await task
            assert application.open == 0

    with no_descriptor_left():
        run(main())
