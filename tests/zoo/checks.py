"""Whether what a guest did is what its card says, and nothing else got out.

Answers, events and lines of the log come in; nothing goes out, or an AssertionError.
It must never forgive: one secret, one record too many or one forged line is a failure.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from server.doors import Answer
from serverless_wasm.events import ConnectionRefused, Event, InvocationFinished
from serverless_wasm.limits import Limits
from zoo.cards import Guest, Visit
from zoo.grounds import CANARY, CutShort, Grounds

LOG_BYTES = Limits().log_bytes  # of one invocation, as they stand in the log: no guest has another quota
Seen = tuple[Answer, list[Event]]


def finished(events: Iterable[Event]) -> InvocationFinished:
    """The record of an invocation, of which there is exactly one."""
    (record,) = (event for event in events if isinstance(event, InvocationFinished))
    return record


def ending(answer: Answer, events: Iterable[Event], early: int = 0) -> str:
    """Status and outcome; the client knows as much as the log, or nothing but the code.

    Of a response that had begun it knows that it was cut short, which stands in place of the status; of a
    whole one, with the status `early`, it does not know that its guest has failed since.
    """
    record = finished(events)
    if isinstance(answer, CutShort):
        assert record.outcome != "ok", record
        return f"cut {record.outcome}"
    if early and answer.status == early:
        assert record.outcome != "ok", record
        return f"{record.status} {record.outcome}"
    assert record.status == answer.status, f"{record}: {answer}"
    if record.outcome != "ok":
        assert {"error", "request_id"} == set(json.loads(answer.body))
        assert record.request_id == json.loads(answer.body)["request_id"]
    return f"{record.status} {record.outcome}"


@contextmanager
def no_circles() -> Iterator[None]:
    """Nothing of ours that is made inside is left to the garbage collector, and a request's body with it."""
    gc.freeze()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        ours = (each for each in gc.garbage if type(each).__module__.startswith("serverless_wasm."))
        assert not {type(each).__qualname__ for each in ours}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()


def check_answer(visit: Visit, answer: Answer, events: Iterable[Event]) -> None:
    """One answer and its record are as the card says."""
    record = finished(events)
    assert visit.detail in record.detail, record
    assert visit.answer in {None, answer.body}, answer
    names = tuple(sorted(name.decode() for name, _ in answer.headers))
    assert visit.headers in {None, names}, answer
    assert visit.peak in {None, record.memory_peak}, record
    assert visit.dropped in {None, record.log_dropped}, record
    refusals = [event for event in events if isinstance(event, ConnectionRefused)]
    assert visit.refusals in {None, len(refusals)}, refusals
    shown = [*answer.headers, (answer.reason, answer.body)]
    assert not any(CANARY.encode() in text for pair in shown for text in pair), answer


def check_log(room: Grounds, guest: Guest, visit: Visit, seen: list[Seen]) -> None:
    """A line for each event, nothing forged, no secret; and what the guest logged is as its card says."""
    logged = room.logged()
    assert "internal_fault" not in {record["event"] for record in logged}, logged
    assert CANARY not in json.dumps(logged)
    assert {guest.name, "neighbour"} >= {record["application"] for record in logged}
    said: dict[str, list[str]] = {}
    for record in logged:
        if record["event"] == "guest_logged":
            assert guest.name == record["application"]
            said.setdefault(record["request_id"], []).append(record["message"])
    for _, events in seen:
        lines = said.get(finished(events).request_id, [])
        assert visit.records in {None, len(lines)}, lines
        assert sum(len(json.dumps(line)) - len('""') for line in lines) <= LOG_BYTES, lines
        assert visit.logged in {None, *lines[:1]}, lines
