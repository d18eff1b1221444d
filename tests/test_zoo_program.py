"""Hostile guests of the real program: their clients leave, and what they held is free again at once."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from net.backends import black_hole, silent
from program import Folder, Service
from serverless_wasm.server.intake import LOW_WATER

GUEST = """(module
  (import "env" "log" (func $log (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_write" (func $write (param i32 i32 i64) (result i64)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (memory (export "memory") 256) (data (i32.const 0) "begunbackend")
  (func $open (result i32) (call $connect (i32.const 64)
    (call $get (i32.const 5) (i64.const 7) (i32.const 64) (i64.const 64))))
  (func $begin (call $log (i32.const 0) (i64.const 5)))
  {functions})"""
HANDLE = '(func (export "handle") (call $begin) {body})'
HOSTILE = {
    "loop": "(loop (br 0))",
    "calls": "(loop (drop (call $get (i32.const 5) (i64.const 7) (i32.const 64) (i64.const 64))) (br 0))",
    "fill": "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216)) (br 0))",
    "read": "(drop (call $read (call $open) (i32.const 64) (i64.const 9)))",
    "write": "(drop (call $open)) "
    "(loop (drop (call $write (i32.const 0) (i32.const 0) (i64.const 1048576))) (br 0))",
    "connect": "(drop (call $open))",
    "body": "(drop (call $text (i64.const 0) (i32.const 64) (i64.const 9)))",
}
START = '(func $start (call $begin) (loop (br 0))) (start $start) (func (export "handle"))'
GOOD = '(func (export "handle") (call $body (i32.const 0) (i64.const 5)))'
CALLS_ITSELF = """(data (i32.const 128) "GET /itself HTTP/1.1\\0d\\0aHost: a\\0d\\0a")
  (data (i32.const 159) "Connection: close\\0d\\0a\\0d\\0a")
  (func (export "handle") (local $fd i32)
    (local.set $fd (call $open))
    (drop (call $write (local.get $fd) (i32.const 128) (i64.const 52)))
    (call $body (i32.const 256) (call $read (local.get $fd) (i32.const 256) (i64.const 12))))"""
REQUEST = b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(LOW_WATER)
"""With enough of its body for a guest to begin, and no more."""
LIMITS = (
    'timeout = "60s", cpu = "60s", socket_timeout = "60s", connect_timeout = "60s", host_calls = 1000000000'
)


def table(name: str, backend: str = "", limits: str = LIMITS) -> str:
    return f"""[[applications]]
name = "{name}"
file_path = "{name}.wasm"
url_path = "/{name}"
env = {{ backend = "{backend}" }}
limits = {{ {limits} }}
"""


class Holdings:
    """How many descriptors and threads the process has; to be made before the first request."""

    def __init__(self, service: Service) -> None:
        self._folder = Path(f"/proc/{service.process.pid}")
        self._before = self.now()

    def now(self) -> tuple[int, int]:
        """Descriptors, but for what the engine copies memories from, and threads."""
        paths = (self._folder / "fd").iterdir()
        return sum(not self._is_image(path) for path in paths), len(list((self._folder / "task").iterdir()))

    def _is_image(self, path: Path) -> bool:
        try:
            return "wasm-memory-image" in str(path.readlink())
        except FileNotFoundError:  # closed meanwhile
            return True

    def settled(self) -> None:
        """Waits until they are as in the beginning; fails if that never happens."""
        end = time.monotonic() + 5
        while self.now() != self._before and time.monotonic() < end:
            time.sleep(0.002)
        assert self._before == self.now()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Holdings]]:
    """The program with one application for each hostile guest, and a good one."""
    folder = Folder(tmp_path_factory.mktemp("program"))
    bodies = {name: HANDLE.format(body=body) for name, body in HOSTILE.items()}
    for name, functions in {**bodies, "start": START, "good": GOOD}.items():
        folder.module(f"{name}.wasm", GUEST.format(functions=functions))
    with ExitStack() as stack:
        nobody, hole = stack.enter_context(silent()).decode(), stack.enter_context(black_hole()).decode()
        names = (*HOSTILE, "start", "good")
        folder.config("".join(table(name, hole if name == "connect" else nobody) for name in names))
        with folder.serve("--workers", "0") as running:
            yield running, Holdings(running)


def leave(client: socket.socket, how: str) -> None:
    """Ends the connection: as a program that closes it, or as one that was killed with data unread."""
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("name", [*HOSTILE, "start"])
def test_client_that_leaves_ends_its_guest_wherever_it_is(
    served: tuple[Service, Holdings], name: str, how: str
) -> None:
    """In a loop, in start, in a host call that waits: outcome cancelled, everything freed, others served."""
    service, holdings = served
    clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(3)]
    for client in clients:
        client.sendall(REQUEST % name.encode())
        assert name == service.record("guest_logged")["application"]
    began = time.perf_counter()

    for client in clients:
        leave(client, how)

    records = [service.record("invocation_finished") for _ in clients]
    took = time.perf_counter() - began
    print(f"{name}: three of them ended {1000 * took:.0f} ms after their clients left")  # noqa: T201 - pytest -s shows it
    assert [(name, "cancelled", 499)] * 3 == [(r["application"], r["outcome"], r["status"]) for r in records]
    assert (200, b"begun") == service.get("/good")
    assert "good" == service.record("invocation_finished")["application"]
    holdings.settled()


def test_guest_that_calls_itself_ends(tmp_path: Path) -> None:
    """Where an operator grants an application the service itself, its concurrency ends it (THREATS G29)."""
    folder = Folder(tmp_path)
    folder.module("itself.wasm", GUEST.format(functions=CALLS_ITSELF))
    folder.module("good.wasm", GUEST.format(functions=GOOD))
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{reserved.getsockname()[1]}"
    folder.config(table("itself", address, "concurrency = 4, queue = 0") + table("good"), listen=address)
    with folder.serve("--workers", "0") as service:
        holdings = Holdings(service)
        assert (200, b"HTTP/1.1 200") == service.get("/itself")
        outcomes = [service.record("invocation_finished")["outcome"] for _ in range(5)]
        assert ["overloaded", "ok", "ok", "ok", "ok"] == outcomes
        assert (200, b"begun") == service.get("/good")
        holdings.settled()


def test_client_that_sends_nothing_more_is_nobodys_trouble(served: tuple[Service, Holdings]) -> None:
    """A hundred connections in the middle of a request take nothing from those that are whole."""
    service, holdings = served
    clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(100)]
    for client in clients:
        client.sendall(b"POST /good HTTP/1.1\r\nHost:")
    assert (200, b"begun") == service.get("/good")
    for client in clients:
        client.close()
    holdings.settled()
