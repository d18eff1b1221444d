"""How a service of several processes ends: drained, in a hurry, by Ctrl-C, or killed."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from processes.conftest import Serve
from processes.running import (
    COMPILER,
    WORKER,
    Asked,
    Running,
    alive,
    application,
    asks,
    kill,
    server,
    until,
)
from program import Folder
from zoo.generated import functions, number

SLOW = functions([b"\1" + number(9000) + b"\x7f\x0b"] * 1500)
"""Takes the compiler seconds, and is within every limit of a module's structure."""


@pytest.fixture
def backend() -> Iterator[socket.socket]:
    """Whom the guests of /ask ask."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as sock:
        yield sock


@pytest.fixture
def asking(folder: Folder, backend: socket.socket) -> Folder:
    """A folder with an application that waits for the backend."""
    folder.module("ask.wasm", asks(backend))
    target = f"127.0.0.1:{backend.getsockname()[1]}"
    more = f'env = {{ backend = "{target}" }}\nlimits = {{ timeout = "1h" }}'
    folder.config(application("ask", "/ask", more) + server(2, 'drain = "1h"'))
    return folder


def ask_both(service: Running, backend: socket.socket) -> list[Asked]:
    """Requests until both workers have some in flight."""
    asked: list[Asked] = []
    while len([count for count in service.busy().values() if count]) < 2:
        asked.append(Asked(service, backend))
        until(lambda: sum(service.busy().values()) == len(asked))
    return asked


@pytest.mark.parametrize("arguments", [(), ("--workers", "0")])
@pytest.mark.parametrize("to_all", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_in_progress_is_finished(
    asking: Folder,
    serve: Serve,
    backend: socket.socket,
    number: signal.Signals,
    arguments: tuple[str, ...],
    *,
    to_all: bool,
) -> None:
    """One signal, to the first process or to the whole group: no answer is lost, and nobody is replaced."""
    service = serve(*arguments, under=("setsid",))
    asked = [Asked(service, backend)] if arguments else ask_both(service, backend)

    os.killpg(service.pid, number) if to_all else kill(service.pid, number)
    service.until_refused()

    assert {((200, b"late"),)} == {tuple(one.answers()) for one in asked}
    service.ended()
    assert [] == service.events("worker_lost", "notice")


def test_an_idle_group_ends_without_a_loss(asking: Folder, serve: Serve) -> None:
    """Workers that end by the same signal as the first process were not lost."""
    service = serve("--watch", under=("setsid",))

    os.killpg(service.pid, signal.SIGTERM)

    service.ended()
    assert [] == service.events("worker_lost", "notice")


@pytest.mark.parametrize("arguments", [(), ("--workers", "0")])
@pytest.mark.parametrize("to_all", [False, True])
def test_a_second_signal_is_now(
    asking: Folder, serve: Serve, backend: socket.socket, arguments: tuple[str, ...], *, to_all: bool
) -> None:
    """What is still in progress is cancelled, and the exit code is 0 all the same."""
    service = serve(*arguments, under=("setsid",))
    asked = [Asked(service, backend)] if arguments else ask_both(service, backend)

    for _ in range(2):
        os.killpg(service.pid, signal.SIGTERM) if to_all else kill(service.pid, signal.SIGTERM)
        service.until_refused()

    service.ended()
    assert [[]] * len(asked) == [one.answers() for one in asked]
    outcomes = [record["outcome"] for record in service.events("invocation_finished")]
    assert ["cancelled"] * len(asked) == outcomes
    assert [] == service.events("worker_lost", "notice")


def test_nothing_outlives_the_first_process(asking: Folder, serve: Serve, backend: socket.socket) -> None:
    """After SIGKILL, in the middle of a reload: no worker, no compiler, and the address is free."""
    service = serve()
    asked = Asked(service, backend)
    (asking.path / "slow.wasm").write_bytes(SLOW)
    config = (asking.path / "config.toml").read_text()
    asking.config(config + application("slow", "/slow"), listen="")
    service.signal(signal.SIGHUP)
    until(lambda: bool(service.children(COMPILER)))
    family = service.children()
    assert (3, 1) == (len(service.children(WORKER)), len(service.children(COMPILER)))

    kill(service.pid)

    until(lambda: not any(map(alive, family)))
    socket.create_server(("127.0.0.1", service.port)).close()
    assert [] == asked.answers()


def test_a_stop_in_the_middle_of_a_reload(asking: Folder, serve: Serve, backend: socket.socket) -> None:
    """What is being compiled is given up; what is in progress is finished."""
    service = serve()
    asked = Asked(service, backend)
    (asking.path / "slow.wasm").write_bytes(SLOW)
    config = (asking.path / "config.toml").read_text()
    asking.config(config + application("slow", "/slow"), listen="")
    service.signal(signal.SIGHUP)
    until(lambda: bool(service.children(COMPILER)))

    service.signal(signal.SIGTERM)
    service.until_refused()

    assert [(200, b"late")] == asked.answers()
    service.ended()
    assert [] == service.events("worker_lost", "reloaded", "reload_refused")


def test_a_stop_before_there_is_anything_to_serve(asking: Folder) -> None:
    """While the first modules are compiled a signal ends it at once, and everything with it."""
    (asking.path / "ask.wasm").write_bytes(SLOW)
    service = Running(asking)
    until(lambda: bool(service.children(COMPILER)))
    family = service.children()

    service.signal(signal.SIGTERM)

    assert (0, "", []) == service.end()
    until(lambda: not any(map(alive, family)))
