"""A service of several processes: who they are, what they log, what the commands say to them."""

from __future__ import annotations

import asyncio
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from program import ASKS, HELLO, PROGRAM, Folder, Service
from serverless_wasm.processes.control import Answer, ask

LOG_ROOM = 1 << 20
"""Bytes of log that wait for a test to read them: what any user may have (pipe(7), pipe-max-size)."""
BOUND = 30.0
"""Seconds after which what is waited for counts as never: far more than it takes."""
WORKER = "serverless_wasm.cli.work"
COMPILER = "serverless_wasm.wasm.compiling"

SAYS = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 1) (data (i32.const 0) "{text}")
    (func (export "handle") (call $body (i32.const 0) (i64.const {length}))))"""
"""Answers with a text."""

FILLS = """(module (memory (export "memory") 1024)
    (func (export "handle")
        (loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 67108864)) (br 0))))"""
"""Fills its memory for ever, and hardly ever gives the event loop back meanwhile."""


SPINS = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 1) (data (i32.const 0) "spun")
    (func (export "handle") (local $turns i32) (local.set $turns (i32.const 1000000))
        (loop (br_if 0 (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
        (call $body (i32.const 0) (i64.const 4))))"""
"""Answers after the better part of a millisecond."""


def says(text: str) -> str:
    """A module that answers with the text."""
    return SAYS.format(text=text, length=len(text))


def asks(backend: socket.socket) -> str:
    """A module that answers with what a backend sends."""
    target = f"127.0.0.1:{backend.getsockname()[1]}"
    return ASKS.format(target=target, length=len(target))


def application(name: str, path: str, more: str = "") -> str:
    """An entry that serves NAME.wasm at a path."""
    lines = (f'name = "{name}"', f'file_path = "{name}.wasm"', f'url_path = "{path}"', 'method = "GET"', more)
    return "\n".join(("[[applications]]", *lines, ""))


def server(workers: int = 2, more: str = "") -> str:
    """The table of the service: few guests at once, so that a process is up soon."""
    return f"[server]\nworkers = {workers}\nslots = 16\n{more}\n"


def hello_folder(path: Path) -> Folder:
    """A folder with hello.wasm."""
    folder = Folder(path)
    folder.module("hello.wasm", HELLO)
    return folder


class Running(Service):
    """A service whose log is read as JSON to the last line, and of which no process is left at the end."""

    def __init__(
        self,
        folder: Folder,
        *arguments: str,
        under: tuple[str, ...] = (),
        sockets: tuple[socket.socket, ...] = (),
        **environment: str,
    ) -> None:
        process = subprocess.Popen(
            [*under, *PROGRAM, "config.toml", *arguments],
            cwd=folder.path,
            env={**folder.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[sock.fileno() for sock in sockets],
        )
        super().__init__(process)
        if sys.platform == "linux" and process.stderr is not None:  # room for the log of a busy second
            fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, LOG_ROOM)
        self.pid = process.pid
        self.folder = folder
        self.seen: set[int] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        family = self.seen | set(self.children())
        super().__exit__(kind, error, trace)
        until(lambda: not any(map(alive, family)))

    def children(self, what: str = "") -> list[int]:
        """The processes it has started, whose command names `what`; in the order of their start."""
        found = []
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            try:
                found += [int(pid) for pid in task.read_text().split()]
            except OSError:  # a thread that has just ended
                continue
        self.seen.update(found)
        return sorted(pid for pid in found if what in command_of(pid))

    def serving(self) -> list[int]:
        """The workers that serve; there is one more in reserve."""
        return list(self.busy())

    def ask(self, command: str) -> Answer:
        """What the service answers to a command."""
        return asyncio.run(ask(self.folder.path / "config.toml", command, BOUND))

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The records of these events that have been read so far."""
        return [record for record in self.before if record["event"] in names]

    def record(self, *events: str) -> dict[str, Any]:
        """The next record of one of these events, waiting for it; it and all before it are in `before`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found: dict[str, Any] = json.loads(line)
            self.before.append(found)
            if found["event"] in events:
                return found
        raise AssertionError(f"the service ended without {events}: {self.before}")

    def reload(self) -> dict[str, Any]:
        """Sends SIGHUP; the record that says what became of it."""
        self.signal(signal.SIGHUP)
        return self.record("reloaded", "reload_refused")

    def busy(self) -> dict[int, int]:
        """How many requests are in flight in each worker that serves."""
        words = [line.split() for line in self.ask("status").details if line.startswith("worker ")]
        return {int(word[1][:-1]): int(word[3]) for word in words}

    def until_refused(self) -> None:
        """Returns once nobody listens."""

        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionError:
                return True
            return False

        until(refused)

    def stop(self) -> None:
        """Ends it by SIGTERM: exit code 0, nothing on stdout, nothing but records on stderr."""
        self.signal(signal.SIGTERM)
        self.ended()

    def ended(self) -> None:
        """Waits for a clean end."""
        code, out, records = self.end()
        self.before += records
        assert (0, "") == (code, out)
        assert self.before[-1]["event"] == "service_stopped"
        assert [] == self.events("internal_fault", "records_lost")


def command_of(pid: int) -> str:
    """A process's command line; empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def listens(pid: int) -> bool:
    """Whether a process has a listening socket among its descriptors."""
    table = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    listening = {f"socket:[{fields[9]}]" for fields in map(str.split, table) if fields[3] == "0A"}
    return any(str(entry.readlink()) in listening for entry in Path(f"/proc/{pid}/fd").iterdir())


def until(happened: Callable[[], bool]) -> None:
    """Returns once it has happened; fails when it never does."""
    end = time.monotonic() + BOUND
    while not happened():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Sends a signal to one process."""
    os.kill(pid, number)


def crash(pid: int) -> None:
    """Ends a process by SIGSEGV; the engine takes the first for its own, and expects the fault once more."""

    def dead() -> bool:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSEGV)
        return not alive(pid)

    until(dead)


class Asked:
    """A request that a guest answers once its backend has spoken."""

    def __init__(self, service: Running, backend: socket.socket, path: str = "/ask") -> None:
        self._service = service
        self._answers: list[tuple[int, bytes]] = []
        self._client = threading.Thread(target=self._ask, args=(path,))
        self._client.start()
        self._guest, _ = backend.accept()

    def _ask(self, path: str) -> None:
        with suppress(OSError, http.client.HTTPException):  # then there is no answer
            self._answers.append(self._service.get(path))

    def until_in_flight(self) -> list[int]:
        """The workers with requests in flight, once their crumbs say so."""
        until(lambda: any(self._service.busy().values()))
        return [pid for pid, count in self._service.busy().items() if count]

    def until_deaf(self, pid: int) -> None:
        """Returns once that worker listens to nobody."""
        until(lambda: not listens(pid))

    def answers(self) -> list[tuple[int, bytes]]:
        """What the client was answered, now that the backend speaks; nothing when it was cut off."""
        with self._guest, suppress(OSError):
            self._guest.sendall(b"late")
        self._client.join()
        return self._answers
