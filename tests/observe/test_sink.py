"""One stream for several processes: lines stay whole, whoever writes, waits, stops or dies."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import pytest

from serverless_wasm.events import GuestLogged
from serverless_wasm.observe.logs import Logs, Style
from serverless_wasm.observe.sink import open_lock

SAID = GuestLogged(request_id="r-1", application="hello", message="I am here")
WRITER = """
import sys
from serverless_wasm.events import GuestLogged
from serverless_wasm.observe.logs import Logs, Style
lock, name, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
logs = Logs(sys.stderr, Style.JSON, lock=lock)
for number in range(count):
    length = (1, 500, 3500, 8000)[number % 4]
    logs(GuestLogged(request_id=name, application="a", message="\\u00e9" * length))
    if count > 1000 and logs.lost:
        break
print(logs.lost, flush=True)
sys.stdin.read()
"""
"""An accent is six bytes in JSON: lines of 100 bytes to 48 KiB."""
HOLDER = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock() -> Iterator[int]:
    """A lock for processes to take turns."""
    descriptor = open_lock()
    yield descriptor
    os.close(descriptor)


@contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end to read from and the stream to log to."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        try:
            yield reader, stream
        finally:
            with suppress(OSError):
                os.close(reader)


def start(program: str, lock: int, *arguments: str, log: TextIO | None = None) -> subprocess.Popen[str]:
    """A process that has the lock, and `log` for its stderr."""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(lock), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        pass_fds=[lock],
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line that a process says."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def waiting(reader: int) -> str:
    """Everything that is in a pipe."""
    os.set_blocking(reader, False)
    chunks = []
    with suppress(BlockingIOError):
        while chunk := os.read(reader, 1 << 16):
            chunks.append(chunk)
    return b"".join(chunks).decode()


def records_of(text: str) -> list[dict[str, Any]]:
    """Every line, which must be a whole record."""
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_processes_share_a_pipe(lock: int) -> None:
    """Lines of 100 bytes to 48 KiB from four processes stay whole; those that are missing were counted."""
    chunks: list[bytes] = []

    def read(reader: int) -> None:
        while chunk := os.read(reader, 1 << 16):
            chunks.append(chunk)

    with pipe() as (reader, stream):
        thread = threading.Thread(target=read, args=(reader,))
        thread.start()
        writers = [start(WRITER, lock, f"w{number}", "400", log=stream) for number in range(4)]
        lost = [int(line_of(writer)) for writer in writers]
        for writer in writers:
            writer.communicate()
        logs = Logs(stream, Style.JSON, lock=lock)
        while "I am here" not in b"".join(chunks[-2:]).decode():  # it finishes what the last one left
            logs(SAID)
        stream.close()
        thread.join()
    records = records_of(b"".join(chunks).decode())

    written = [
        record for record in records if record["event"] == "guest_logged" and record["request_id"][0] == "w"
    ]
    assert 4 * 400 == len(written) + sum(lost)
    assert all(set(record["message"]) == {"é"} for record in written)


def test_death_in_the_middle_of_a_line(lock: int) -> None:
    """A line that a killed process had begun is finished by the next one that writes."""
    with pipe() as (reader, stream):
        writer = start(WRITER, lock, "w", "100000", log=stream)
        assert line_of(writer) == "1"  # the pipe is full, in the middle of a line
        writer.kill()
        writer.communicate()
        head = waiting(reader)
        Logs(stream, Style.JSON, lock=lock)(SAID)
        rest = waiting(reader)

    assert not head.endswith("\n")
    assert "I am here" == records_of(head + rest)[-1]["message"]


def test_death_before_the_first_piece(lock: int) -> None:
    """A line that could not even begin leaves nothing behind."""
    with pipe() as (reader, stream):
        os.set_blocking(stream.fileno(), False)
        with suppress(BlockingIOError):
            while True:
                os.write(stream.fileno(), b"{}\n" * 4096)
        with suppress(BlockingIOError):
            while True:
                os.write(stream.fileno(), b"\n")
        writer = start(WRITER, lock, "w", "4", log=stream)
        assert line_of(writer) == "4"
        writer.kill()
        writer.communicate()
        waiting(reader)
        Logs(stream, Style.JSON, lock=lock)(SAID)
        text = waiting(reader)

    assert ["I am here"] == [record["message"] for record in records_of(text)]


def test_stopped_process_stops_nobody(lock: int) -> None:
    """While a process keeps its turn the others drop and count, and when it dies they write again."""
    with pipe() as (reader, stream):
        logs = Logs(stream, Style.JSON, lock=lock)
        holder = start(HOLDER, lock)
        assert line_of(holder) == "held"
        holder.send_signal(signal.SIGSTOP)
        for _ in range(100):
            logs(SAID)
        assert 100 == logs.lost
        holder.kill()
        holder.communicate()
        logs(SAID)
        text = waiting(reader)

    assert [("records_lost", 100), ("guest_logged", None)] == [
        (record["event"], record.get("lost")) for record in records_of(text)
    ]


def test_turn_is_given_back(lock: int) -> None:
    """After a record, written or lost, another process can have its turn."""
    with pipe() as (reader, stream):
        logs = Logs(stream, Style.JSON, lock=lock)
        logs(SAID)
        os.close(reader)
        logs(SAID)
        assert 1 == logs.lost
        holder = start(HOLDER, lock)
        assert line_of(holder) == "held"
        holder.communicate()


def test_lock_that_was_closed() -> None:
    """A log without its lock loses records, nothing else."""
    with pipe() as (reader, stream):
        lock = open_lock()
        logs = Logs(stream, Style.JSON, lock=lock)
        os.close(lock)
        logs(SAID)

        assert 1 == logs.lost
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)


def test_lock_is_not_inherited(lock: int) -> None:
    """Only those processes share the log that are given the lock."""
    assert not os.get_inheritable(lock)
    assert fcntl.fcntl(lock, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def test_file_that_was_cut(tmp_path: Path) -> None:
    """After logrotate's copytruncate a file goes on at its beginning, however the shell opened it."""
    path = tmp_path / "log"
    with path.open("w") as stream:
        logs = Logs(stream, Style.JSON)
        for _ in range(3):
            logs(SAID)
        os.truncate(path, 0)
        logs(SAID)

    assert 1 == len(records_of(path.read_text()))


def test_disk_that_fills_up_in_the_middle_of_a_line(tmp_path: Path, lock: int) -> None:
    """A line that a full disk cut is finished first, even by another process."""
    path = tmp_path / "log"
    with path.open("w") as stream:
        ours = Logs(stream, Style.JSON, lock=lock)
        writer = start(WRITER.replace("logs = ", LIMITED + "logs = "), lock, "w", "100000", log=stream)
        assert line_of(writer) == "1"
        writer.communicate()
        assert not path.read_text().endswith("\n")
        ours(SAID)

    assert "I am here" == records_of(path.read_text())[-1]["message"]


LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""
"""Writing beyond 100,000 bytes of a file fails, after what still fitted was written."""


def test_json_log_starts_without_the_console() -> None:
    """The library that draws for a person is imported when a person reads."""
    code = "import sys, serverless_wasm.observe.logs; print('structlog' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False\n" == done.stdout


@pytest.mark.parametrize("colours", [True, False])
def test_colours_as_told(*, colours: bool) -> None:
    """A process that is not asked for a terminal paints as it is told."""
    with pipe() as (reader, stream):
        Logs(stream, Style.CONSOLE, colours=colours)(SAID)
        text = waiting(reader)

    assert colours == ("\x1b[" in text)
