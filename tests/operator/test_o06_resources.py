"""O6: without descriptors, threads, memory or a right clock the service sheds, says why, and recovers."""

from __future__ import annotations

import ast
import http.client
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import serverless_wasm
from conditions import HELLO_APPLICATION, ROOT, application, ended, hello_folder, processes, serve, start
from program import Folder, Service

FEW = ("prlimit", "--nofile=64:64", "--")
GREEDY = """(module
    (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
    (import "env" "tcp_read" (func $read (param i32 i32 i64) (result i64)))
    (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 1) (data (i32.const 0) "{target}")
    (func (export "handle") (local $first i32)
        (local.set $first (call $connect (i32.const 0) (i64.const {length})))
        (loop $more
            (br_if $more (i32.ge_s (call $connect (i32.const 0) (i64.const {length})) (i32.const 0))))
        (drop (call $read (local.get $first) (i32.const 64) (i64.const 4)))
        (call $body (i32.const 0) (i64.const 4))))"""
"""Connects until it may not any more, then waits for the first connection to say something."""
ASKS = """(module
    (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
    (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 1) (data (i32.const 0) "{target}") (data (i32.const 64) "refused")
    (func (export "handle")
        (if (i32.lt_s (call $connect (i32.const 0) (i64.const {length})) (i32.const 0))
            (then (call $body (i32.const 64) (i64.const 7))))))"""
SLOW_NAMES = """
import socket, time
real = socket.getaddrinfo
def getaddrinfo(host, *arguments, **named):
    if "slow" in str(host):
        time.sleep(100_000)
    return real(host, *arguments, **named)
socket.getaddrinfo = getaddrinfo
"""
WALL_CLOCK = {
    "observe/logs.py": "the time of a record",
    "server/wire.py": "the Date of a response",
    "processes/watch.py": "what is compared with the time of a file",
    "abi/env.py": "the clock that a guest reads",
    "abi/wasi/clocks.py": "the clocks that a guest reads",
    "wasm/artifacts.py": "what is compared with the time of a file",
    "sources/kept.py": "what is compared with the time of a file",
    "sources/oci.py": "the day on which an artifact was made",
    "storage/files/disk.py": "what is compared with the time of a file",
    "storage/files/tree_file.py": "the time of a file",
    "storage/kv/sqlite.py": "the end of a key's time, which outlives processes",
}
"""Where the clock on the wall is meant; everything else must not mind when it jumps."""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A configuration with one good application."""
    return hello_folder(tmp_path)


def processor_time(service: Service) -> float:
    """Seconds that the service has computed for, all its processes together."""
    ticks = 0
    for pid in processes(service.process.pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime: proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def busy(service: Service) -> float:
    """The part of a processor that the service takes, over a second."""
    began, before = time.monotonic(), processor_time(service)
    time.sleep(1)  # what is measured is a second
    return (processor_time(service) - before) / (time.monotonic() - began)


def answered(service: Service, path: str) -> tuple[int, bytes]:
    """The answer, as soon as the service has one; a test's time limit ends the wait."""
    while True:
        try:
            return service.get(path)
        except (OSError, http.client.HTTPException):
            assert service.process.poll() is None


@contextmanager
def clients(service: Service, count: int) -> Iterator[list[socket.socket]]:
    """So many connections that ask nothing."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port))) for _ in range(count)
        ]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_clients_that_take_every_descriptor(folder: Folder) -> None:
    """Idle clients beyond the descriptors are shed at no cost, and once they have gone all is as it was."""
    with serve(folder, under=FEW) as service:
        assert service.get("/hello") == (200, b"hello")
        with clients(service, 300):
            assert busy(service) < 0.5
            assert service.process.poll() is None
        for _ in range(20):
            assert answered(service, "/hello") == (200, b"hello")
        service.process.terminate()
        assert service.end()[0] == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_guests_that_take_every_descriptor(folder: Folder) -> None:
    """A guest that gets no more connections is told -1; when it is done others are served again."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as backend:
        target = f"127.0.0.1:{backend.getsockname()[1]}"
        folder.module("greedy.wasm", GREEDY.format(target=target, length=len(target)))
        limits = '{ sockets = 10_000, socket_timeout = "1h", timeout = "1h" }'
        more = f'env = {{ a = "{target}" }}\nlimits = {limits}'
        folder.config(HELLO_APPLICATION + application("greedy.wasm", "/greedy", more))
        with serve(folder, under=FEW) as service:
            with ExitStack() as stack:
                greedy = stack.enter_context(socket.create_connection(("127.0.0.1", service.port)))
                greedy.sendall(b"GET /greedy HTTP/1.1\r\nHost: a\r\n\r\n")
                first, _ = backend.accept()
                stack.enter_context(first)
                with clients(service, 50):
                    assert busy(service) < 0.5
                first.sendall(b"done")
                assert greedy.recv(15) == b"HTTP/1.1 200 OK"
            assert answered(service, "/hello") == (200, b"hello")
            service.process.terminate()
            assert service.end()[0] == 0


@pytest.mark.skipif(not ROOT, reason="counts the processes of a user who has none")
@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])
def test_no_threads(folder: Folder, number: int) -> None:
    """A user who may not start a thread or a process reads a sentence with the remedy; the exit code is 2."""
    powers = "+dac_override,+dac_read_search"
    user = ("setpriv", "--reuid=65534", "--clear-groups", f"--inh-caps={powers}", f"--ambient-caps={powers}")

    code, lines = ended(
        start(folder, "config.toml", under=(*user, "prlimit", f"--nproc={number}:{number}", "--"))
    )

    assert code == 2
    assert "ulimit -u" in lines[-1]


def test_no_address_space(folder: Folder) -> None:
    """An engine that cannot reserve its pool is a sentence with the remedy, and exit code 2."""
    code, lines = ended(start(folder, "config.toml", under=("prlimit", "--as=8589934592", "--")))

    assert code == 2
    assert lines[-1].endswith("write a smaller [server] slots, or raise the limit: ulimit -v unlimited")


def test_names_that_take_for_ever(folder: Folder) -> None:
    """A lookup that hangs costs its own guest connect_timeout, and the others nothing."""
    target = "slow.example:80"
    folder.module("asks.wasm", ASKS.format(target=target, length=len(target)))
    more = f'allowed_outbound_hosts = ["tcp://{target}"]\nlimits = {{ connect_timeout = "1s" }}'
    folder.config(HELLO_APPLICATION + application("asks.wasm", "/asks", more))
    (folder.path / "site").mkdir()
    (folder.path / "site" / "sitecustomize.py").write_text(SLOW_NAMES)
    paths = os.pathsep.join(filter(None, (str(folder.path / "site"), os.environ.get("PYTHONPATH"))))

    with Service(start(folder, "config.toml", environment={"PYTHONPATH": paths})) as service:
        with clients(service, 40) as waiting:
            for client in waiting:
                client.sendall(b"GET /asks HTTP/1.1\r\nHost: a\r\n\r\n")
            for _ in range(50):
                assert service.get("/hello") == (200, b"hello")
            waiting[0].setblocking(False)
            with pytest.raises(BlockingIOError):
                waiting[0].recv(1)
            for client in waiting:
                client.setblocking(True)
                with client.makefile("rb") as answer:
                    assert answer.readline().startswith(b"HTTP/1.1 200")
        service.process.terminate()
        code, _, records = service.end()

    assert code == 0
    assert [record["outcome"] for record in records if record.get("application") == "asks"] == ["ok"] * 40


def test_clock_that_jumps() -> None:
    """Deadlines and timers run on a clock that nobody sets: the other is read only where it is meant."""
    package = Path(serverless_wasm.__file__).parent
    found = {
        str(file.relative_to(package))
        for file in package.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if ast.unparse(node) in {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today"}
        or (isinstance(node, ast.ImportFrom) and node.module == "time" and _wall(node))
    }

    assert found <= set(WALL_CLOCK)


def _wall(node: ast.ImportFrom) -> bool:
    return not {"time", "time_ns"}.isdisjoint(alias.name for alias in node.names)
