"""The log: what each event looks like, and what happens when nobody can take it."""

from __future__ import annotations

import errno
import io
import json
import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TextIO, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from serverless_wasm import events
from serverless_wasm.events import (
    ConnectionRefused,
    Event,
    GuestLogged,
    InternalFault,
    InvocationFinished,
    Notice,
    ReloadRefused,
    ServiceStopped,
)
from serverless_wasm.observe.logs import ITEMS_LIMIT, KINDS, TEXT_LIMIT, Logs, Style, _fields, _Json, _level

NOW = 1_700_000_000.123
LOCAL = datetime.fromtimestamp(NOW, UTC).astimezone().strftime("%H:%M:%S.123")
EVENTS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]
EVENTS.remove(Event)

FINISHED = InvocationFinished(
    request_id="r-1",
    application="hello",
    method="GET",
    path="/hello",
    status=200,
    outcome="ok",
    wall_ms=0.81234,
    cpu_ms=0.4,
    memory_peak=65536,
    host_calls=4,
    log_dropped=0,
)
SAID = GuestLogged(request_id="r-1", application="hello", message="I am here")

FIELDS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(),
    int: st.integers(),
    float: st.floats(),
    BaseException: st.builds(ValueError, st.text()),
    tuple[str, ...]: st.lists(st.text()).map(tuple),
}


def fields_of(kind: type[Event]) -> dict[str, st.SearchStrategy[Any]]:
    """Any value for each field."""
    return {name: FIELDS[hint] for name, hint in get_type_hints(kind).items() if not name.startswith("__")}


ANY_EVENT = st.one_of([st.builds(kind, **fields_of(kind)) for kind in EVENTS])


def clock() -> float:
    return NOW


def text_of(event: Event, style: Style) -> str:
    """What one event becomes on a stream that is no terminal."""
    stream = io.StringIO()
    logs = Logs(stream, style, clock)
    logs(event)
    assert logs.lost == 0
    return stream.getvalue()


def record_of(line: str) -> dict[str, Any]:
    """One line as strict JSON: an object, without NaN and Infinity."""

    def refuse(word: str) -> NoReturn:
        raise AssertionError(f"{word} is no JSON")

    record = json.loads(line, parse_constant=refuse)
    assert isinstance(record, dict)
    return record


@contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end to read from, not blocking, and the stream to log to."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as stream:
        try:
            yield reader, stream
        finally:
            os.close(reader)


def all_from(reader: int) -> str:
    """Everything that waits in a pipe."""
    chunks = []
    while True:
        try:
            chunks.append(os.read(reader, 1 << 16))
        except BlockingIOError:
            return b"".join(chunks).decode()


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


def test_closed_stream() -> None:
    """What a closed stream cannot take is counted; nobody hears of it."""
    stream = io.StringIO()
    logs = Logs(stream, Style.JSON, clock)
    stream.close()
    logs(SAID)
    logs(SAID)

    assert 2 == logs.lost
    Logs(stream, Style.CONSOLE, clock)(SAID)


def test_closed_file_whose_number_another_has(tmp_path: Path) -> None:
    """A log that was closed never writes into the file that got its descriptor."""
    stream = (tmp_path / "log").open("w")
    number = stream.fileno()
    logs = Logs(stream, Style.JSON, clock)
    stream.close()
    with (tmp_path / "other").open("w") as other:
        os.dup2(other.fileno(), number)
        logs(SAID)
        if number != other.fileno():
            os.close(number)

    assert 1 == logs.lost
    assert (tmp_path / "other").read_text() == ""


def test_broken_pipe() -> None:
    """A reader that is gone costs records, nothing else."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        logs = Logs(stream, Style.JSON, clock)
        logs(SAID)
        os.close(reader)
        logs(SAID)
        logs(SAID)

    assert 2 == logs.lost


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk() -> None:
    """A full disk costs records, nothing else; closing the stream then writes none of them."""
    with Path("/dev/full").open("w") as stream:
        logs = Logs(stream, Style.JSON, clock)
        for _ in range(100):
            logs(SAID)

    assert 100 == logs.lost


class Flaky(io.StringIO):
    """A stream without a descriptor whose disk is full for a while."""

    full = False

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "no space")
        self.sizes.append(len(text))
        return super().write(text)


def test_the_log_says_what_it_lost() -> None:
    """The first line after a loss has a record before it that says how many are missing, once."""
    stream = Flaky()
    logs = Logs(stream, Style.JSON, clock)
    for full in (False, True, True, False, False, True, False):
        stream.full = full
        logs(SAID)
    records = [record_of(line) for line in stream.getvalue().splitlines()]

    said = ("guest_logged", None)
    assert [(record["event"], record.get("lost")) for record in records] == [
        said,
        ("records_lost", 2),
        said,
        said,
        ("records_lost", 1),
        said,
    ]
    assert 3 == logs.lost


def test_end_of_a_process() -> None:
    """At its end a process says what it lost since, once, and nothing when there is nothing to say."""
    stream = Flaky()
    logs = Logs(stream, Style.JSON, clock)
    logs.finish()
    logs(SAID)
    stream.full = True
    logs(SAID)
    logs.finish()
    stream.full = False
    logs.finish()
    logs.finish()
    records = [record_of(line) for line in stream.getvalue().splitlines()]

    assert [("guest_logged", None), ("records_lost", 1)] == [
        (record["event"], record.get("lost")) for record in records
    ]


def test_records_that_are_gathered() -> None:
    """Frequent ones go out together when called back, others at once behind them; none is lost or twice."""
    stream = Flaky()
    later: list[Callable[[], None]] = []
    logs = Logs(stream, Style.JSON, clock)
    logs.gather(later.append)

    logs(FINISHED)
    logs(SAID)
    assert "" == stream.getvalue()
    assert 1 == len(later)
    later.pop()()
    assert 2 == len(stream.getvalue().splitlines())
    logs(FINISHED)
    logs(Notice(message="now"))
    later.pop()()
    logs(SAID)
    logs.finish()
    logs(FINISHED)
    stream.full = True
    later.pop()()
    later.pop()()
    assert 1 == logs.lost
    stream.full = False
    logs.finish()

    told = [record_of(line)["event"] for line in stream.getvalue().splitlines()]
    frequent = ["invocation_finished", "guest_logged"]
    assert [*frequent, frequent[0], "notice", frequent[1], "records_lost"] == told


def test_no_more_is_gathered_than_a_pipe_takes_at_once() -> None:
    """Long records do not wait for each other."""
    stream = Flaky()
    later: list[Callable[[], None]] = []
    logs = Logs(stream, Style.JSON, clock)
    logs.gather(later.append)
    for _ in range(10):
        logs(replace(SAID, message="x" * 1500))

    assert 8 == len(stream.getvalue().splitlines())
    assert max(stream.sizes) <= select.PIPE_BUF
    later.pop(0)()
    assert 10 == len(stream.getvalue().splitlines())


@given(st.builds(InvocationFinished, **fields_of(InvocationFinished)))
def test_the_frequent_record_is_written_as_any_other(event: InvocationFinished) -> None:
    """Its short way and the general one say the same, byte by byte."""
    kind = KINDS[InvocationFinished]
    general = _Json()(NOW, kind.name, _level(event, kind), _fields(event, kind))

    assert general == _Json().finished(NOW, event)


def test_end_in_the_middle_of_a_line() -> None:
    """At its end a process writes the rest of a line that a full pipe had cut."""
    with pipe() as (reader, stream):
        logs = Logs(stream, Style.JSON, clock)
        while not logs.lost:
            logs(replace(SAID, message="x" * TEXT_LIMIT))
        text = all_from(reader)
        logs.finish()
        text += all_from(reader)

    assert [record_of(line)["event"] for line in text.splitlines()][-2:] == ["guest_logged", "records_lost"]


def test_end_of_a_process_whose_reader_is_behind() -> None:
    """At its end a process gives the reader a moment, and says then what was lost."""
    with pipe() as (reader, stream):
        logs = Logs(stream, Style.JSON, clock)
        while not logs.lost:
            logs(SAID)
        text: list[str] = []
        late = threading.Timer(0.05, lambda: text.append(all_from(reader)))
        late.start()
        logs.finish()
        late.join()
        text.append(all_from(reader))

    assert "records_lost" == record_of("".join(text).splitlines()[-1])["event"]


@pytest.mark.parametrize("size", [10, 5_000, TEXT_LIMIT])
def test_paused_reader(size: int) -> None:
    """A reader that pauses stops nobody; what it then reads is whole lines and how many are missing."""
    with pipe() as (reader, stream):
        logs = Logs(stream, Style.JSON, clock)
        emitted = 0
        while logs.lost < 3:
            logs(replace(SAID, message="x" * size))
            emitted += 1
        text = all_from(reader)
        logs(SAID)
        text += all_from(reader)
    records = [record_of(line) for line in text.splitlines()]

    assert emitted - 3 + 2 == len(records)
    assert [("records_lost", 3), ("guest_logged", None)] == [
        (record["event"], record.get("lost")) for record in records[-2:]
    ]


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    """Events of several threads never share a line."""

    def emit(logs: Logs) -> None:
        for _ in range(200):
            logs(FINISHED)

    with (tmp_path / "log").open("w") as stream:
        logs = Logs(stream, Style.JSON, clock)
        threads = [threading.Thread(target=emit, args=(logs,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = (tmp_path / "log").read_text().splitlines()

    assert 800 == len([record_of(line) for line in lines])


def test_stream_that_knows_no_accents(tmp_path: Path) -> None:
    """A character that the stream's encoding lacks is written as its escape."""
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        Logs(stream, Style.CONSOLE, clock)(replace(SAID, message="voilà"))

    assert f"{LOCAL} hello r-1 | voil\\xe0\n" == (tmp_path / "log").read_text()


def test_unknown_event() -> None:
    """An event that nobody described here is a lost record, not an error of the room that emitted it."""
    stream = io.StringIO()
    logs = Logs(stream, Style.JSON, clock)
    logs(Event())

    assert (1, "") == (logs.lost, stream.getvalue())
