"""Thousands of clients that wait for thousands of suspended guests, in one process."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import uvloop

from program import Folder, Service

GUESTS = 5_000
WAVE = 500
KIB_EACH = 40
DESCRIPTORS = 2 * GUESTS + 500
WAITING = """(module
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (import "env" "tcp_write" (func $write (param i32 i32 i64) (result i64)))
  (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
  (memory (export "memory") 1) (data (i32.const 0) "hello\\0a{backend}")
  (func (export "hello") (call $body (i32.const 0) (i64.const 6)))
  (func (export "handle") (local $fd i32)
    (local.set $fd (call $connect (i32.const 6) (i64.const {length})))
    (drop (call $write (local.get $fd) (i32.const 0) (i64.const 6)))
    (call $body (i32.const 1024) (call $read (local.get $fd) (i32.const 1024) (i64.const 1000)))))"""


class Backend:
    """Answers nobody until all have asked and the test says so."""

    def __init__(self) -> None:
        self.arrived = asyncio.Semaphore(0)
        self.release = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        self.arrived.release()
        await self.release.wait()
        writer.write(b"world")
        writer.close()

    async def wait_for(self, guests: int) -> None:
        """Returns once so many more have asked."""
        for _ in range(guests):
            await self.arrived.acquire()


async def get(port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), body


def footprint(pid: int) -> int:
    """KiB of the process: its proportional set and its page tables."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(
        int(text.split(key, 1)[1].split()[0]) for text, key in ((rollup, "\nPss:"), (status, "\nVmPTE:"))
    )


def configure(folder: Folder, backend: str, more: str) -> None:
    folder.module("wait.wasm", WAITING.format(backend=backend, length=len(backend)))
    folder.config(
        f"""{more}
[[applications]]
file_path = "wait.wasm"
url_path = "/wait"
env = {{ backend = "{backend}" }}
[applications.limits]
concurrency = {2 * GUESTS}
application_sockets = {2 * GUESTS}
timeout = "100s"
socket_timeout = "100s"
[[applications]]
file_path = "wait.wasm"
url_path = "/hello"
function = "hello"
"""
    )


async def crowd(service: Service, backend: Backend) -> tuple[float, list[tuple[int, bytes]]]:
    """KiB that each waiting guest takes, its client's connection included, and every answer."""
    assert await get(service.port, "/hello") == (200, b"hello\n")
    before = footprint(service.process.pid)
    waiting = []
    for _ in range(0, GUESTS, WAVE):  # more at once than net.core.somaxconn would overflow the backlog
        waiting += [asyncio.create_task(get(service.port, "/wait")) for _ in range(WAVE)]
        await backend.wait_for(WAVE)
    each = (footprint(service.process.pid) - before) / GUESTS
    assert await get(service.port, "/hello") == (200, b"hello\n")
    backend.release.set()
    return each, await asyncio.gather(*waiting)


def test_five_thousand_guests_wait_at_once(tmp_path: Path) -> None:
    """All are answered, each takes little memory, and others are served meanwhile."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert most >= DESCRIPTORS, f"this test needs {DESCRIPTORS} descriptors: ulimit -Hn"
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    async def main() -> tuple[float, list[tuple[int, bytes]]]:
        backend = Backend()
        async with await asyncio.start_server(backend.serve, "127.0.0.1", 0, backlog=WAVE) as server:
            folder = Folder(tmp_path)
            configure(folder, f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "")
            with folder.serve("--workers", "0") as service:
                return await crowd(service, backend)

    each, answers = uvloop.run(main())

    print(f"{GUESTS} suspended guests, {each:.1f} KiB each")  # noqa: T201 - pytest -s shows the figure
    assert [(200, b"world")] * GUESTS == answers
    assert each < KIB_EACH


def test_one_guest_more_than_there_are_slots_is_503(tmp_path: Path) -> None:
    """Whoever finds no slot is told to come again; those that have one are answered."""

    async def main() -> list[tuple[int, bytes]]:
        backend = Backend()
        async with await asyncio.start_server(backend.serve, "127.0.0.1", 0) as server:
            folder = Folder(tmp_path)
            configure(folder, f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "")
            text = (tmp_path / "config.toml").read_text()
            (tmp_path / "config.toml").write_text(f"{text}\n[server]\nslots = 20\n")
            with folder.serve("--workers", "0") as service:
                waiting = [asyncio.create_task(get(service.port, "/wait")) for _ in range(20)]
                await backend.wait_for(20)
                refused = await asyncio.gather(*(get(service.port, "/hello") for _ in range(30)))
                backend.release.set()
                answered = await asyncio.gather(*waiting)
                return [*refused, *answered, await get(service.port, "/hello")]

    answers = asyncio.run(main())

    assert [503] * 30 == [status for status, _ in answers[:30]]
    assert [(200, b"world")] * 20 == answers[30:50]
    assert answers[50] == (200, b"hello\n")
