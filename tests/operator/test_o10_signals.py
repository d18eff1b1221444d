"""O10: signals that are no order to end leave everything as it is: connections, requests, processes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from conditions import HELLO_APPLICATION, application, hello_folder, processes, serve
from processes.running import until
from program import ASKS, Folder, Service

LOUD = frozenset({"worker_lost", "worker_replaced", "internal_fault", "reload_refused", "application_broken"})
HEARTBEAT = 2
pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")


@dataclass(frozen=True, slots=True)
class Scene:
    """A service with a client that keeps its connection, and another whose request is in progress."""

    service: Service
    client: http.client.HTTPConnection
    waiting: socket.socket
    guest: socket.socket

    def get(self) -> bytes:
        """What the client that keeps its connection is answered."""
        self.client.request("GET", "/hello")
        return self.client.getresponse().read()

    def check(self) -> None:
        """Nothing is lost: neither the connection, nor the request, nor the address."""
        assert self.get() == b"hello"
        self.guest.sendall(b"late")
        with self.waiting.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
            while answer.readline() != b"\r\n":
                pass
            assert answer.read(4) == b"late"
        assert self.service.get("/hello") == (200, b"hello")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A configuration with one good application."""
    return hello_folder(tmp_path)


@contextmanager
def scene(folder: Folder) -> Iterator[Scene]:
    """A service in the middle of its work; whatever happens to it, it ends with 0 and says nothing loud."""
    with socket.create_server(("127.0.0.1", 0)) as backend:
        target = f"127.0.0.1:{backend.getsockname()[1]}"
        folder.module("wait.wasm", ASKS.format(target=target, length=len(target)))
        limits = 'timeout = "1h", socket_timeout = "1h", connect_timeout = "1h"'
        more = f'env = {{ a = "{target}" }}\nlimits = {{ {limits} }}'
        server = f'[server]\nheartbeat = "{HEARTBEAT}s"\nidle_timeout = "1h"\n'
        folder.config(HELLO_APPLICATION + application("wait.wasm", "/wait", more) + server)
        with serve(folder) as service:
            with (
                closing(http.client.HTTPConnection("127.0.0.1", service.port)) as client,
                socket.create_connection(("127.0.0.1", service.port)) as waiting,
            ):
                waiting.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
                guest, _ = backend.accept()
                with guest:
                    yield Scene(service, client, waiting, guest)
            service.process.terminate()
            code, _, records = service.end()
    assert code == 0
    assert LOUD.isdisjoint(record["event"] for record in service.before + records)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGPIPE", "SIGCHLD", "SIGWINCH", "SIGCONT", "SIGURG"])
def test_storm_for_the_service(folder: Folder, name: str) -> None:
    """A hundred signals to the process that was started, between requests."""
    with scene(folder) as running:
        for _ in range(100):
            running.service.signal(signal.Signals[name])
            assert running.get() == b"hello"
        running.check()


@pytest.mark.parametrize(
    "name",
    [
        "SIGHUP",
        "SIGPIPE",
        "SIGCHLD",
        "SIGINT",
    ],
)
def test_storm_for_every_process(folder: Folder, name: str) -> None:
    """Signals that reach all processes, as those of a terminal do, end none of those that serve."""
    with scene(folder) as running:
        pids = list(processes(running.service.process.pid))
        number = signal.Signals[name]
        until(lambda: all(withstands(pid, number) for pid in pids[1:]))  # the one in reserve may be starting
        for _ in range(20):
            for pid in pids[1:] if name == "SIGINT" else pids:
                os.kill(pid, number)
            assert running.get() == b"hello"
        running.check()
        assert set(pids) <= set(processes(running.service.process.pid))


def withstands(pid: int, number: signal.Signals) -> bool:
    """Whether a process ignores or handles a signal, or it is one that ends nobody (proc(5), status)."""
    words = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    # Python catches SIGINT from its very beginning, with a traceback.
    fields = {"SigIgn:"} if number is signal.SIGINT else {"SigIgn:", "SigCgt:"}
    masks = [int(word[1], 16) for word in words if word[0] in fields]
    return number is signal.SIGCHLD or any(mask >> (number - 1) & 1 for mask in masks)


def test_storm_of_all(folder: Folder) -> None:
    """Five hundred orders to reload in one moment are one reload or a few, and the service goes on."""
    with scene(folder) as running:
        for _ in range(500):
            running.service.signal(signal.SIGHUP)
        running.check()


@pytest.mark.parametrize("backwards", [False, True])
def test_stopped_and_continued(folder: Folder, *, backwards: bool) -> None:
    """A machine that was suspended for longer than a heartbeat goes on, whichever process wakes up first."""
    with scene(folder) as running:
        pids = list(processes(running.service.process.pid))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        running.client.request("GET", "/hello")
        time.sleep(2 * HEARTBEAT)  # the time that passes is what is tested
        for pid in reversed(pids) if backwards else pids:
            os.kill(pid, signal.SIGCONT)
        assert running.client.getresponse().read() == b"hello"
        running.check()
