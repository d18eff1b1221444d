"""The hostile zoo (THREATS 2.1): what each guest does, what becomes of it, and what nobody else notices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import uvloop

from server.doors import Answer
from serverless_wasm.events import ConnectionRefused, Event, InternalFault, InvocationFinished
from serverless_wasm.limits import Limits
from zoo.cards import Guest, Visit, read_all
from zoo.generated import make_all
from zoo.grounds import CANARY, Grounds, grounds

GUESTS = (*read_all(), *make_all())
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
LOG_BYTES = Limits().log_bytes  # of one invocation, as they stand in the log: no guest here has another quota
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
    zoo.run(_visited(zoo.grounds, guest, visit, crowd))


async def _visited(room: Grounds, guest: Guest, visit: Visit, crowd: int) -> None:
    since = len(room.events)
    room.most = 0
    seen = await asyncio.gather(*(room.ask(guest, visit) for _ in range(crowd)))
    endings = [_ending(answer, events) for answer, events in seen]
    assert sorted(visit.endings if crowd == 8 else [visit.ending]) == sorted(endings)
    for (answer, events), ending in zip(seen, endings, strict=True):
        if ending == visit.ending:
            _check(visit, answer, events)
    if visit.connections is not None:
        assert room.most <= visit.connections
    if guest.refused is not None:
        assert guest.refused in (room.broken(guest.name) or "it was loaded")

    await room.neighbour()
    if guest.good:
        answer, events = await room.ask(guest, GOOD)
        assert "200 ok" == _ending(answer, events)
        _check(GOOD, answer, events)
    await room.settled()
    _check_log(room, guest, visit, since, seen)


def _ending(answer: Answer, events: list[Event]) -> str:
    """Status and outcome; the client knows as much as the log, or nothing but the code."""
    (record,) = (event for event in events if isinstance(event, InvocationFinished))
    assert record.status == answer.status
    if record.outcome != "ok":
        assert {"error", "request_id"} == set(json.loads(answer.body))
        assert record.request_id == json.loads(answer.body)["request_id"]
    return f"{record.status} {record.outcome}"


def _check(visit: Visit, answer: Answer, events: list[Event]) -> None:
    """One answer and its record are as the card says."""
    (record,) = (event for event in events if isinstance(event, InvocationFinished))
    assert visit.detail in record.detail
    assert visit.answer is None or visit.answer == answer.body
    assert visit.headers is None or visit.headers == tuple(
        sorted(name.decode() for name, _ in answer.headers)
    )
    assert visit.peak is None or visit.peak == record.memory_peak
    assert visit.dropped is None or visit.dropped == record.log_dropped
    refusals = [event for event in events if isinstance(event, ConnectionRefused)]
    assert visit.refusals is None or visit.refusals == len(refusals)
    shown = [*answer.headers, (answer.reason, answer.body)]
    assert not any(CANARY.encode() in text for pair in shown for text in pair)


def _check_log(
    room: Grounds, guest: Guest, visit: Visit, since: int, seen: list[tuple[Answer, list[Event]]]
) -> None:
    """A line for each event, nothing forged, no secret; and what the guest logged is as its card says."""
    assert not any(isinstance(event, InternalFault) for event in room.events[since:])
    logged = room.logged(since)
    assert CANARY not in json.dumps(logged)
    assert {guest.name, "neighbour"} >= {record["application"] for record in logged}
    said: dict[str, list[str]] = {}
    for record in logged:
        if record["event"] == "guest_logged":
            assert guest.name == record["application"]
            said.setdefault(record["request_id"], []).append(record["message"])
    for _, events in seen:
        (finished,) = (event for event in events if isinstance(event, InvocationFinished))
        lines = said.get(finished.request_id, [])
        assert visit.records is None or visit.records == len(lines)
        assert sum(len(json.dumps(line)) - len('""') for line in lines) <= LOG_BYTES
        assert visit.logged is None or visit.logged == lines[0]
