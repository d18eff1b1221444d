"""Workers that are killed, stopped or told to end by real signals, and what becomes of the service."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from processes.conftest import Serve
from processes.running import SPINS, WORKER, Asked, Running, application, asks, crash, kill, says, server
from program import Folder


@pytest.fixture
def service(folder: Folder, serve: Serve) -> Running:
    """Two workers that serve /hello."""
    folder.config(application("hello", "/hello") + server())
    return serve()


def test_the_supervisor_has_neither_engine_nor_uvloop(service: Running) -> None:
    """What a guest could break is not even mapped where the sockets are held; the workers have both."""
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in (service.pid, *service.serving())]

    assert 3 == len(maps)
    assert (0, 0) == (maps[0].count("wasmtime"), maps[0].count("uvloop"))
    assert all("wasmtime" in text and "uvloop" in text for text in maps[1:])
    service.stop()


@pytest.mark.parametrize(("end", "name"), [(kill, "SIGKILL"), (crash, "SIGSEGV")])
def test_a_worker_that_dies_is_replaced_while_the_other_serves(
    service: Running, end: Callable[[int], None], name: str
) -> None:
    """No request that comes after its death fails, and the log says how it ended."""
    lost, other = service.serving()

    end(lost)
    assert {(200, b"hello")} == {service.get("/hello") for _ in range(20)}

    record = service.record("worker_lost")
    assert (lost, f"signal {name}", "", 0) == tuple(
        record[key] for key in ("pid", "reason", "application", "in_flight")
    )
    assert service.record("worker_replaced")["pid"] in service.serving()
    assert other in service.serving()
    assert "workers replaced: 1" in service.ask("status").details
    service.stop()


def test_a_stopped_worker_is_killed_for_its_silence(folder: Folder, serve: Serve) -> None:
    """A worker that gives no sign of life is no worker; another takes over, and the log says why."""
    folder.config(application("hello", "/hello") + server(2, 'heartbeat = "500ms"'))
    service = serve()
    lost, _ = service.serving()

    kill(lost, signal.SIGSTOP)
    record = service.record("worker_lost")
    while record["pid"] != lost:  # the machine may be so busy that the other one is silent, too
        record = service.record("worker_lost")
    assert record["reason"] == "no sign of life for 0.5 s"
    service.record("worker_replaced")

    assert service.get("/hello") == (200, b"hello")
    assert lost not in service.serving()
    service.stop()


def test_a_worker_with_much_to_do_is_not_silent(folder: Folder, serve: Serve) -> None:
    """Thousands of requests that arrive at once keep its heart waiting, and it is alive all the same."""
    folder.module("spin.wasm", SPINS)
    folder.config(application("spin", "/spin") + server(1, 'heartbeat = "500ms"'))
    service = serve()
    asked = b"GET /spin HTTP/1.1\r\nHost: a\r\n\r\n" * 16
    clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(400)]

    for client in clients:
        client.sendall(asked)
    for client in clients:
        answers = b""
        while answers.count(b"HTTP/1.1 ") < 16:  # of those that had to queue some may hear 503
            answers += client.recv(4096) or pytest.fail("cut off")
        client.close()

    service.signal(signal.SIGTERM)
    code, _, records = service.end()
    assert 0 == code
    assert "worker_lost" not in {record["event"] for record in (*service.before, *records)}


def test_all_workers_lost_at_once(folder: Folder, serve: Serve) -> None:
    """Each is replaced once: as many serve as before, one is in reserve, and nobody is left over."""
    folder.config(application("hello", "/hello") + server(3))
    service = serve()
    first = service.serving()

    for pid in first:
        kill(pid)
    for _ in first:
        service.record("worker_replaced")

    assert service.get("/hello") == (200, b"hello")
    assert service.reload()["changes"] == []  # whoever was hired has started by now
    assert (3, 4) == (len(service.serving()), len(service.children(WORKER)))
    assert not set(first) & set(service.serving())
    service.stop()


def test_a_reserve_that_is_lost_is_nobodys_loss(service: Running) -> None:
    """The next one who is needed is hired then."""
    serving = service.serving()
    (reserve,) = set(service.children(WORKER)) - set(serving)

    kill(reserve)
    kill(serving[0])

    assert service.record("worker_lost")["pid"] == serving[0]
    service.record("worker_replaced")
    assert (2, [reserve]) == (len(service.serving()), sorted({reserve} - set(service.children(WORKER))))
    service.stop()


def test_a_worker_told_to_end_finishes_and_is_replaced(folder: Folder, serve: Serve) -> None:
    """SIGTERM to one worker, even twice, loses no request: what it answers is answered in full."""
    with socket.create_server(("127.0.0.1", 0)) as backend:
        folder.module("ask.wasm", asks(backend))
        target = f"127.0.0.1:{backend.getsockname()[1]}"
        folder.config(application("ask", "/ask", f'env = {{ backend = "{target}" }}') + server())
        service = serve()
        asked = Asked(service, backend)
        (busy,) = asked.until_in_flight()

        kill(busy, signal.SIGTERM)
        asked.until_deaf(busy)
        kill(busy, signal.SIGTERM)
        assert [(200, b"late")] == asked.answers()

    record = service.record("worker_lost")
    assert (busy, "exit code 0") == (record["pid"], record["reason"])
    service.record("worker_replaced")
    service.stop()


def test_a_worker_that_is_replaced_serves_what_the_others_do(folder: Folder, service: Running) -> None:
    """Somebody has cleared the cache, which is no reason for the next worker to serve less."""
    for file in (folder.path / "cache").glob("*/*.cwasm"):
        file.unlink()

    for pid in service.serving():
        kill(pid)
    for _ in range(2):
        service.record("worker_replaced")

    assert {(200, b"hello")} == {service.get("/hello") for _ in range(20)}
    assert [] == service.events("application_broken", "notice")
    service.stop()


def test_what_a_replaced_worker_cannot_serve_is_told(folder: Folder, service: Running) -> None:
    """Cache cleared and module changed, without a reload: there is no code left of what is served."""
    for file in (folder.path / "cache").glob("*/*.cwasm"):
        file.unlink()
    folder.module("hello.wasm", says("changed"))

    kill(service.serving()[0])
    service.record("worker_replaced")

    (record,) = service.events("application_broken")
    assert record["application"] == "hello"
    assert "has no compiled code" in record["reason"]
    assert service.reload()["changes"] == ["hello changed: code"]
    assert {(200, b"changed")} == {service.get("/hello") for _ in range(20)}
    service.stop()
