"""Responses that begin before their guest has ended, through the real program and its doors."""

from __future__ import annotations

import asyncio
import http.client
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from abi.scripts import HEAD, command, printing
from program import Folder, Service
from serverless_wasm.limits import KIB, MIB

FLOOD = command(
    f"""(local $left i32) (call $text_0 (i32.const 1)) (local.set $left (i32.const {100 * 16}))
    (loop (call $write (i32.const 1) (i32.const 4096) (i32.const {64 * KIB}))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))""",
    HEAD,
)
"""Prints 100 MiB."""
WAITS = command(
    """(call $text_0 (i32.const 1)) (call $sleep (i64.const 700000000)) (call $text_1 (i32.const 1))""",
    HEAD + b"first",
    b"second",
)
CONFIG = """
[server]
workers = 1
[limits]
timeout = "60s"
cpu = "60s"
response_body = "200MiB"
[[applications]]
file_path = "flood.wasm"
url_path = "/flood"
[[applications]]
file_path = "waits.wasm"
url_path = "/waits"
[[applications]]
file_path = "cut.wasm"
url_path = "/cut"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with all three."""
    made = Folder(tmp_path)
    for name, text in {
        "flood": FLOOD,
        "waits": WAITS,
        "cut": printing(HEAD, b"x", then="(call $sleep (i64.const 10000000)) unreachable"),
    }.items():
        made.module(f"{name}.wasm", text)
    made.config(CONFIG)
    return made


def finished(service: Service) -> dict[str, Any]:
    """The next record of an invocation."""
    return service.record("invocation_finished")


def resident(service: Service) -> int:
    """Bytes that the service's processes have in memory, those that they share once each."""
    processes = [service.process.pid]
    for process in processes:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        processes += map(int, children)
    pages = sum(int(Path(f"/proc/{process}/statm").read_text().split()[1]) for process in processes)
    return pages * os.sysconf("SC_PAGESIZE")


def test_a_hundred_megabytes_stream_and_the_worker_stays_as_it_is(folder: Folder) -> None:
    """Memory while it is sent is what it was before, and a slow client stops the guest."""
    with folder.serve() as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.request("GET", "/flood")
        response = connection.getresponse()
        response.read(MIB)
        before, total, most = resident(service), MIB, 0
        while data := response.read(8 * MIB):
            total += len(data)
            most = max(most, resident(service))
        connection.close()

        assert 100 * MIB == total
        assert most < before + 4 * MIB
        assert (200, "ok") == ((record := finished(service))["status"], record["outcome"])


def test_a_client_that_leaves_a_stream_ends_its_guest(folder: Folder) -> None:
    """At once, not at the deadline; and the next request is answered."""
    with folder.serve() as service:
        client = socket.create_connection(("127.0.0.1", service.port))
        client.sendall(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        client.recv(1000)
        client.close()

        record = finished(service)
        assert ("cancelled", True) == (record["outcome"], record["wall_ms"] < 30_000)
        assert (200, b"firstsecond") == service.get("/waits")


def test_a_stream_that_ends_badly_is_not_whole_for_its_client(folder: Folder) -> None:
    """Its connection is closed before its end."""
    with folder.serve() as service:
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            service.get("/cut")
        assert "trap" == finished(service)["outcome"]


def test_a_stream_that_has_begun_is_ended_when_the_service_stops(folder: Folder) -> None:
    """SIGTERM while its guest sleeps: the rest is sent, then the service ends well."""
    with folder.serve() as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.request("GET", "/waits")
        response = connection.getresponse()
        assert b"first" == response.read(5)
        service.signal(signal.SIGTERM)

        assert b"second" == response.read()
        connection.close()
        assert 0 == service.end()[0]


def test_a_stream_that_has_begun_outlives_a_reload(folder: Folder) -> None:
    """The old release waits for it, although the client was answered long ago."""
    with folder.serve() as service:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        connection.request("GET", "/waits")
        response = connection.getresponse()
        assert b"first" == response.read(5)
        folder.module("waits.wasm", printing(HEAD, b"new"))
        service.signal(signal.SIGHUP)
        service.record("reloaded")

        assert b"second" == response.read()
        connection.close()
        assert (200, b"new") == service.get("/waits")


def test_streams_pass_the_asgi_door(folder: Folder) -> None:
    """Chunk by chunk, as they come."""
    from serverless_wasm import Service as Embedded  # noqa: PLC0415 - the library is this test's alone

    async def main() -> list[bytes]:
        chunks: list[bytes] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if not messages:
                await asyncio.Event().wait()  # the client stays
            return messages.pop()

        scope = {
            "type": "http", "method": "GET", "path": "/waits", "raw_path": b"/waits", "query_string": b"",
            "headers": [(b"host", b"a")], "http_version": "1.1", "scheme": "http", "client": ("127.0.0.1", 1),
        }  # fmt: skip
        service = Embedded.from_file(folder.path / "config.toml")
        await service(scope, receive, send)
        await service.stop()
        return chunks

    assert [b"first", b"second"] == [chunk for chunk in asyncio.run(main()) if chunk]
