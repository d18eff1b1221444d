"""The hostile zoo (THREATS 2.1): what each guest does, what becomes of it, and what nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import uvloop

from zoo.cards import Guest, Visit, read_all
from zoo.checks import check_answer, check_log, ending, no_circles
from zoo.commands import make_commands
from zoo.composed import make_components
from zoo.generated import make_all
from zoo.grounds import Grounds, grounds

GUESTS = (*read_all(), *make_all(), *make_commands(), *make_components())
VISITS = [
    pytest.param(
        guest,
        visit,
        id=f"{guest.name}{visit.query and '?'}{visit.query}",
        marks=[pytest.mark.xfail(reason=guest.defect, strict=True)] if guest.defect else [],
    )
    for guest in GUESTS
    for visit in guest.visits
]
GOOD = Visit(query="good", answer=b"good")


class Zoo:
    """The grounds, and the event loop that they live on."""

    def __init__(self, runner: asyncio.Runner, room: Grounds) -> None:
        self.run = runner.run
        self.grounds = room


@pytest.fixture(scope="module", params=["cold", "warm"])
def zoo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """A service of the whole zoo, its modules compiled just now or found in the cache."""
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        if request.param == "warm":
            runner.run(_once(folder))
        stack = AsyncExitStack()
        yield Zoo(runner, runner.run(stack.enter_async_context(grounds(folder, GUESTS))))
        runner.run(stack.aclose())


async def _once(folder: Path) -> None:
    async with grounds(folder, GUESTS):
        pass


@pytest.mark.parametrize("crowd", [1, 8], ids=["alone", "eight"])
@pytest.mark.parametrize(("guest", "visit"), VISITS)
def test_a_hostile_guest_ends_as_it_must_and_nobody_notices(
    zoo: Zoo, guest: Guest, visit: Visit, crowd: int
) -> None:
    """Its card holds; a neighbour and its own next good request are answered; nothing is left or leaks."""
    with no_circles():
        zoo.run(_visited(zoo.grounds, guest, visit, crowd))


def _as_wanted(found: str, wanted: Collection[str]) -> str:
    """An answer that is cut is as good as a 500: a guest that used up its slice has begun it by then."""
    late = found.replace("cut ", "500 ", 1)
    return late if found not in wanted and late in wanted else found


async def _visited(room: Grounds, guest: Guest, visit: Visit, crowd: int) -> None:
    room.logged()
    room.most = 0
    seen = await asyncio.gather(*(room.ask(guest, visit) for _ in range(crowd)))
    early = visit.early if crowd == 8 else 0
    endings = [ending(answer, events, early) for answer, events in seen]
    wanted = visit.endings if crowd == 8 else (visit.ending,)
    assert sorted(wanted) == sorted(_as_wanted(each, wanted) for each in endings)
    for (answer, events), ended in zip(seen, endings, strict=True):
        if ended == visit.ending:
            check_answer(visit, answer, events)
    if visit.connections is not None:
        assert room.most <= visit.connections
    if guest.refused is not None:
        assert guest.refused in (room.broken(guest.name) or "it was loaded")

    await room.neighbour()
    if guest.good:
        answer, events = await room.ask(guest, GOOD)
        assert "200 ok" == ending(answer, events)
        check_answer(GOOD, answer, events)
    await room.settled()
    check_log(room, guest, visit, seen)
