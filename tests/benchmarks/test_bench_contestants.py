"""Servers of the benchmark: they answer while they run, are accounted for, and leave nothing behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.contestants import Contestant, Launch, NotStarted, Running
from benchmarks.load import Request, ask

STUBBORN = """
import http.server, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = "import signal; signal.signal(15, signal.SIG_IGN); print(1, flush=True); signal.pause()"
child = subprocess.Popen([sys.executable, "-c", deaf], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
address = ("127.0.0.1", int(sys.argv[1]))
http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()
"""
LIST = Request(path="/said", answer=b"as agreed")


def serving(program: str) -> Contestant:
    """A program in Python that gets the port."""

    def prepare(folder: Path, port: int) -> Launch:
        (folder / "said").write_bytes(b"as agreed")
        return Launch(command=(sys.executable, "-c", program, str(port)))

    return Contestant(name="server", about="a server", isolation="none", prepare=prepare)


def test_a_family_that_ignores_the_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server and its child in a session of its own are gone, and so is the folder."""
    monkeypatch.setattr("benchmarks.contestants._GRACE", 0.1)
    with Running(serving(STUBBORN), ready=LIST) as running:
        family = running.processes
        assert (200, b"as agreed") == ask(running.port, LIST)
        assert 2 == len(family)
        assert running.cpu() > 0
        assert running.memory().pss > 0
        assert running.seconds_to_ready > 0

    assert not running.folder.exists()
    assert [None, None] == [machine.born(pid) for pid in family]


def test_a_server_that_ends_is_told_with_its_words() -> None:
    """What it printed is the reason."""
    with pytest.raises(NotStarted, match="no luck"), Running(serving("raise SystemExit('no luck')")):
        pass


def test_a_silent_server_is_asked_again_for_its_words() -> None:
    """Its output goes to /dev/null; when it ends, it is run once more to hear it."""
    launch = Launch(command=(sys.executable, "-c", "raise SystemExit('no luck')"), silent=True)
    silent = Contestant(name="server", about="", isolation="none", prepare=lambda _, __: launch)

    with pytest.raises(NotStarted, match="no luck"), Running(silent):
        pass
