"""sd_notify(3) against a real datagram socket in the manager's place."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.processes import notify
from serverless_wasm.processes.notify import Notifier


@contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """A service manager that listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(10)
        yield sock


@pytest.mark.parametrize("abstract", [False, True])
def test_messages(tmp_path: Path, abstract: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Each change of state is one datagram, to a path or to an abstract address."""
    name = f"serverless-wasm-{os.getpid()}" if abstract else str(tmp_path / "notify")
    environ = {"NOTIFY_SOCKET": f"@{name}" if abstract else name, "WATCHDOG_USEC": "3000000", "HOME": "/"}
    with manager(f"\0{name}" if abstract else name) as sock:
        notifier = Notifier.from_environment(environ)
        notifier.ready("serves 4 applications")
        notifier.status("a reload was refused")
        notifier.watchdog()
        notifier.stopping()
        got = [sock.recv(4096) for _ in range(4)]

    assert got == [
        b"READY=1\nSTATUS=serves 4 applications",
        b"STATUS=a reload was refused",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]
    assert environ == {"HOME": "/"}
    assert notifier.watchdog_seconds == 3
    assert notifier.problem == ""


def test_reloading(tmp_path: Path) -> None:
    """A reload says when it began, by the clock that the manager compares it with."""
    with manager(str(tmp_path / "notify")) as sock:
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        notifier.reloading()
        notifier.ready()
        match = re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=(\d+)", sock.recv(4096))
        assert sock.recv(4096) == b"READY=1"

    assert match
    assert before <= (int(match[1]) + 1) * 1000
    assert int(match[1]) * 1000 <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_no_manager() -> None:
    """Without an address nothing is sent, and nothing is wrong."""
    notifier = Notifier.from_environment({})
    notifier.ready("x")
    notifier.reloading()
    notifier.stopping()
    notifier.watchdog()

    assert notifier.problem == ""
    assert notifier.watchdog_seconds is None


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("vsock:2:1234", "NOTIFY_SOCKET is vsock:2:1234, no unix socket"),
        ("relative", "NOTIFY_SOCKET is relative, no unix socket"),
        ("/nobody/listens", "No such file"),
        ("/" + "long" * 40, "too long"),
        ("/\ud800", "surrogates"),
        ("@", "refused"),
    ],
)
def test_unreachable(address: str, words: str) -> None:
    """A manager that cannot be reached is no reason to fail; why is known."""
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": address})
    notifier.ready("x")

    assert words in notifier.problem
    assert "\n" not in notifier.problem


def test_a_manager_that_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue is waited for a while, then the message is given up; the next one may succeed."""
    monkeypatch.setattr(notify, "PATIENCE", 0.01)
    with manager(str(tmp_path / "notify")) as sock:
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        while not notifier.problem:
            notifier.status("x")
        assert "timed out" in notifier.problem
        sock.recv(4096)
        notifier.status("x")
        assert notifier.problem == ""


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [
        ("500000", None, 0.5),
        ("500000", "mine", 0.5),
        ("500000", "1", None),
        ("500000", "", None),
        ("0", None, None),
        ("-1", None, None),
        ("", None, None),
        ("soon", None, None),
        ("²", None, None),
        ("9" * 5000, None, None),
    ],
)
def test_watchdog(microseconds: str, pid: str | None, seconds: float | None) -> None:
    """The watchdog counts for the process that it was meant for, and only as a number."""
    pid = str(os.getpid()) if pid == "mine" else pid
    environ = {"WATCHDOG_USEC": microseconds} | ({} if pid is None else {"WATCHDOG_PID": pid})

    assert Notifier.from_environment(environ).watchdog_seconds == seconds
    assert environ == {}


@given(text=st.text(st.characters(), max_size=600))
def test_status_is_one_assignment(text: str) -> None:
    """Whatever a status says, it is one line: a file's name cannot end the service's readiness."""
    name = f"serverless-wasm-status-{os.getpid()}"
    with manager(f"\0{name}") as sock:
        Notifier.from_environment({"NOTIFY_SOCKET": f"@{name}"}).ready(text)
        lines = sock.recv(65536).decode().split("\n")

    assert lines[0] == "READY=1"
    assert [line.startswith("STATUS=") for line in lines[1:]] == [True] * bool(text)
