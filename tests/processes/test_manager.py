"""A service under a service manager: sockets handed over, and told how it is doing."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processes.conftest import Serve
from processes.running import application, server
from program import Folder

MANAGER = """
import os, sys
os.dup2(int(os.environ["FD"]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[1], sys.argv[1:])
"""
ACTIVATED = (sys.executable, "-c", MANAGER)


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd listens on."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("notify")
        sock.settimeout(30)
        yield sock


def told(manager: socket.socket, first: str) -> str:
    """The next message that begins with `first`."""
    while True:
        message = manager.recv(4096).decode()
        if message.startswith(first):
            return message


def test_notified(folder: Folder, serve: Serve, manager: socket.socket, tmp_path: Path) -> None:
    """The manager hears when it is ready, reloads, lives and stops; its variables go to no child."""
    folder.config(application("hello", "/hello") + application("gone", "/gone") + server())
    service = serve(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")

    assert "READY=1\nSTATUS=serves 1 of 2 applications" == told(manager, "READY=1")
    assert "WATCHDOG=1" == told(manager, "WATCHDOG=1")
    service.signal(signal.SIGHUP)
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", told(manager, "RELOADING=1"))
    assert "READY=1" == told(manager, "READY=1").splitlines()[0]
    folder.config("broken")
    assert not service.ask("reload").ok
    assert told(manager, "RELOADING=1")
    assert "READY=1" == told(manager, "READY=1").splitlines()[0]  # or systemd waits for it
    variables = [Path(f"/proc/{pid}/environ").read_bytes() for pid in service.children()]
    assert not any(b"NOTIFY_SOCKET" in text or b"WATCHDOG" in text for text in variables)
    service.signal(signal.SIGTERM)
    assert "STOPPING=1" == told(manager, "STOPPING=1")
    service.ended()


@pytest.mark.parametrize("arguments", [(), ("--workers", "0")])
def test_activated(folder: Folder, serve: Serve, arguments: tuple[str, ...]) -> None:
    """It serves on the socket that it was handed, whatever the file says, and leaves it to its owner."""
    folder.config(application("hello", "/hello") + server(), listen="127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = serve(*arguments, under=ACTIVATED, sockets=(listener,), FD=str(listener.fileno()))

        assert listener.getsockname()[1] == service.port
        assert {(200, b"hello")} == {service.get("/hello") for _ in range(20)}
        variables = [Path(f"/proc/{pid}/environ").read_bytes() for pid in service.children()]
        assert not any(b"LISTEN_" in text for text in variables)
        service.stop()

        with socket.create_connection(listener.getsockname()), listener.accept()[0]:
            pass  # it is still ours to accept on
