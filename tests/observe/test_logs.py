"""The log: what each event looks like."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from observe.records import (
    ANY_EVENT,
    EVENTS,
    FINISHED,
    LOCAL,
    NOW,
    SAID,
    clock,
    fields_of,
    record_of,
    text_of,
)
from serverless_wasm.events import (
    ConnectionRefused,
    Event,
    InternalFault,
    InvocationFinished,
    ModuleCompiling,
    ModuleFetched,
    Notice,
    ReloadRefused,
    ServiceStopped,
    StoreRefused,
)
from serverless_wasm.observe.logs import ITEMS_LIMIT, KINDS, TEXT_LIMIT, Logs, Style, _fields, _Json, _level


def test_every_event_has_a_kind() -> None:
    """A new event in events.py is not forgotten here."""
    missing = [kind.__name__ for kind in EVENTS if kind not in KINDS]

    assert missing == []


def test_json_of_an_invocation() -> None:
    """The record of an invocation has time, name and level first, then its fields in their order."""
    expected = {
        "ts": "2023-11-14T22:13:20.123Z",
        "event": "invocation_finished",
        "level": "info",
        "request_id": "r-1",
        "application": "hello",
        "method": "GET",
        "path": "/hello",
        "status": 200,
        "outcome": "ok",
        "detail": "",
        "wall_ms": 0.812,
        "cpu_ms": 0.4,
        "memory_peak": 65536,
        "host_calls": 4,
        "log_dropped": 0,
    }
    record = record_of(text_of(FINISHED, Style.JSON))

    assert list(expected.items()) == list(record.items())


@pytest.mark.parametrize(
    ("outcome", "level"),
    [("ok", "info"), ("cancelled", "info"), ("trap", "warning"), ("deadline", "warning")],
)
def test_level_of_an_invocation(outcome: str, level: str) -> None:
    """An invocation that ended badly is a warning; a client that went away is none."""
    record = record_of(text_of(replace(FINISHED, outcome=outcome), Style.JSON))

    assert level == record["level"]


def test_time_moves() -> None:
    """Each record has its own time, to the millisecond, whatever the one before had."""
    stream = io.StringIO()
    times = iter([0.9994, 0.9996, 59.5, 1.0])
    logs = Logs(stream, Style.JSON, lambda: next(times))
    for _ in range(4):
        logs(ServiceStopped())
    moments = [record_of(line)["ts"][-10:] for line in stream.getvalue().splitlines()]

    assert ["00:00.999Z", "00:01.000Z", "00:59.500Z", "00:01.000Z"] == moments


@given(ANY_EVENT)
def test_json_is_one_strict_line(event: Event) -> None:
    """Whatever strangers wrote, an event is one line of strict JSON in visible ASCII."""
    text = text_of(event, Style.JSON)
    record = record_of(text)

    assert text.endswith("\n")
    assert text[:-1].isascii()
    assert text[:-1].isprintable()
    assert KINDS[type(event)].name == record["event"]
    for value in record.values():
        for item in value if isinstance(value, list) else [value]:
            assert not isinstance(item, str) or item.replace("\n", "").isprintable() or not item.isascii()


@given(ANY_EVENT)
def test_console_moves_no_cursor(event: Event) -> None:
    """Whatever strangers wrote, the console shows one line, and a traceback indented below it."""
    head, *below, last = text_of(event, Style.CONSOLE).split("\n")

    assert last == ""
    assert not below or isinstance(event, InternalFault)
    assert all(line.startswith("    ") for line in below)
    assert not any(
        ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0
        for line in [head, *below]
        for character in line
    )


@given(st.text(), st.sampled_from(Style))
def test_guests_forge_no_record(message: str, style: Style) -> None:
    """The line of a guest stays inside its own record, named with the application."""
    forged = message + '\n{"event":"invocation_finished","application":"neighbour"}\r\x1b[2K\u2028'
    text = text_of(replace(SAID, message=forged), style)

    assert text.count("\n") == 1
    assert {"\r", "\x1b", "\u2028"}.isdisjoint(text)
    assert "hello r-1 |" in text or record_of(text)["application"] == "hello"


def test_long_text_is_cut() -> None:
    """A long text is cut, and its record says how much of it is missing."""
    record = record_of(text_of(replace(SAID, message="x" * (TEXT_LIMIT + 7)), Style.JSON))

    assert "x" * TEXT_LIMIT + "… (7 more)" == record["message"]


def test_many_items_are_cut() -> None:
    """Of many reasons the first are shown, and how many are missing."""
    record = record_of(text_of(ReloadRefused(reasons=("no\n",) * (ITEMS_LIMIT + 7)), Style.JSON))

    assert [r"no\n"] * ITEMS_LIMIT + ["7 more"] == record["reasons"]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (FINISHED, "GET /hello 200 ok 0.812 ms hello r-1"),
        (
            replace(FINISHED, status=500, outcome="trap", detail="unreachable"),
            "GET /hello 500 trap 0.812 ms hello r-1: unreachable",
        ),
        (SAID, "hello r-1 | I am here"),
        (Notice(message="two words"), "[warning] notice message='two words'"),
        (
            ConnectionRefused(request_id="r-1", application="a", target="b:1", reason="no", remedy="x = 1"),
            "[warning] connection_refused request_id=r-1 application=a target=b:1 reason=no remedy='x = 1'",
        ),
        (
            StoreRefused(request_id="r-1", application="a", reason="is down"),
            "[warning] store_refused request_id=r-1 application=a reason='is down'",
        ),
        (
            ModuleFetched(url="s3://b/a.wasm", digest="sha256:0", size=8, from_cache=True),
            "[info] module_fetched url=s3://b/a.wasm digest=sha256:0 size=8 from_cache=True",
        ),
        (
            ModuleCompiling(file="a.wasm", size=8, seconds=2, finished=False),
            "[info] module_compiling file=a.wasm size=8 seconds=2 finished=False",
        ),
        (ServiceStopped(), "[info] service_stopped"),
    ],
)
def test_console_forms(event: Event, expected: str) -> None:
    """A person reads the time, then words; without a terminal, without colour."""
    assert f"{LOCAL} {expected}\n" == text_of(event, Style.CONSOLE)


def test_colour_on_a_terminal() -> None:
    """A terminal gets colours."""
    leader, follower = os.openpty()
    with os.fdopen(follower, "w") as stream:
        for event in (FINISHED, SAID, ServiceStopped()):
            Logs(stream, Style.CONSOLE, clock)(event)
            shown = os.read(leader, 4096).decode()

            assert f"\x1b[2m{LOCAL}\x1b[0m" in shown
    os.close(leader)


class Unspeakable(Exception):
    """An exception that cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


def fault(exception: Exception) -> InternalFault:
    """A fault with a traceback, as the service reports it."""
    try:
        raise exception
    except Exception as raised:
        return InternalFault(where="service", request_id="r-1", exception=raised)


def test_fault_has_its_traceback() -> None:
    """A fault of ours is logged with its traceback, in one JSON string."""
    record = record_of(text_of(fault(KeyError("a\nb")), Style.JSON))

    assert (record["where"], record["request_id"], record["error"]) == ("service", "r-1", "KeyError")
    assert "raise exception" in record["traceback"]
    assert record["traceback"].endswith(r"KeyError: 'a\nb'")


def test_fault_on_the_console() -> None:
    """The traceback stands below its record, indented, and its message begins no line of its own."""
    head, first, *others = text_of(
        fault(ValueError("a\n12:00:00.000 hello r | b\x1b[2K")), Style.CONSOLE
    ).split("\n")

    assert f"{LOCAL} [error] internal_fault where=service request_id=r-1 error=ValueError" == head
    assert first == "    Traceback (most recent call last):"
    assert others[-2:] == [r"    12:00:00.000 hello r | b\x1b[2K", ""]


def test_faults_that_are_hard_to_show() -> None:
    """An exception without words, one with too many, and one from a deep recursion are shown in part."""

    def fall() -> None:
        fall()

    assert "Unspeakable" in text_of(fault(Unspeakable()), Style.JSON)
    assert len(text_of(fault(ValueError("x\n" * 1_000_000)), Style.JSON)) < 200_000
    try:
        fall()
    except RecursionError as error:
        shown = text_of(InternalFault(where="service", request_id="", exception=error), Style.JSON)
    assert len(shown) < 20_000


@given(st.builds(InvocationFinished, **fields_of(InvocationFinished)))
def test_the_frequent_record_is_written_as_any_other(event: InvocationFinished) -> None:
    """Its short way and the general one say the same, byte by byte."""
    kind = KINDS[InvocationFinished]
    general = _Json()(NOW, kind.name, _level(event, kind), _fields(event, kind))

    assert general == _Json().finished(NOW, event)


def test_unknown_event() -> None:
    """An event that nobody described here is a lost record, not an error of the room that emitted it."""
    stream = io.StringIO()
    logs = Logs(stream, Style.JSON, clock)
    logs(Event())

    assert (1, "") == (logs.lost, stream.getvalue())
