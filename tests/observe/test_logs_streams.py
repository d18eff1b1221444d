"""The log's stream: closed, full, slow, shared by threads, and at the end of a process."""

from __future__ import annotations

import errno
import io
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from observe.records import (
    FINISHED,
    LOCAL,
    SAID,
    all_from,
    clock,
    pipe,
    record_of,
)
from serverless_wasm.events import (
    Notice,
)
from serverless_wasm.observe.logs import TEXT_LIMIT, Logs, Style


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
