"""The real program as its operator has it: told to reload, stopped, killed, looked at from outside.

A folder and a port come in; what the program says, its processes and its log go out.
It must never leave a process behind, nor touch one that does not belong to its folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import SystemRandom
from typing import Any

from program import PROGRAM
from serverless_wasm.processes.control import Answer, ask

START = 120.0
"""Seconds for the program to listen: others may be busy on the machine."""
LINGER = 10.0
"""Seconds for the processes of a program that was killed to be gone."""
_PORTS = 15_000, 30_000
"""Below those that Linux gives to clients (net.ipv4.ip_local_port_range)."""
WORKER = "serverless_wasm.cli.work"
COMPILER = "serverless_wasm.wasm.compiling"


@dataclass(frozen=True, slots=True)
class Running:
    """One process of the program."""

    pid: int
    command: str
    starter: int


class Operated:
    """One folder with a configuration, and the program that is started there, again and again perhaps.

    `program` is the command, without its arguments.
    """

    def __init__(self, folder: Path, port: int, program: Sequence[str] = PROGRAM) -> None:
        self.folder = folder
        self.port = port
        self.cache = folder / "cache" / "serverless-wasm"
        self._program = program
        self._sockets = tempfile.mkdtemp(prefix="sw-")  # the paths of sockets must be short
        self._starts = 0
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def config(self) -> Path:
        """The configuration, to be written before the start."""
        return self.folder / "config.toml"

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with a cache and a place for the control socket of its own."""
        own = {"XDG_CACHE_HOME": str(self.folder / "cache"), "XDG_RUNTIME_DIR": self._sockets}
        return {**os.environ, **own, "NO_COLOR": "1"}

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor, or the only process."""
        assert self._process is not None, "not started"
        return self._process

    # Orders.

    def begin(self, *arguments: str) -> None:
        """Starts the program with a log of its own, and waits for nothing."""
        self._starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, *arguments, "config.toml"],
                cwd=self.folder, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip

    async def start(self, *arguments: str) -> None:
        """Starts the program; it listens by then, or this raises AssertionError with its log."""
        self.begin(*arguments)
        await until(lambda: self.process.poll() is not None or self._is_said("service_started"), START)
        said = self._is_said("service_started")
        assert said, f"the service does not listen, exit code {self.process.poll()}: {self._log.read_text()}"

    async def reload(self) -> Answer:
        """What `serverless-wasm reload` is told, without a Python of its own to be started for it."""
        return await ask(self.config, "reload", START, self.environment)

    async def reload_by_command(self) -> Answer:
        """The same by the command itself."""
        command = (sys.executable, "-m", "serverless_wasm", "reload", "config.toml")
        process = await asyncio.create_subprocess_exec(
            *command, cwd=self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        first, *details = out.decode().splitlines() or [""]
        return Answer(ok=process.returncode == 0, message=first, details=tuple(details))

    async def reload_by_signal(self) -> Answer:
        """The same by SIGHUP; the log says what became of it."""
        before = len(self._reloads())
        self.process.send_signal(signal.SIGHUP)
        await until(lambda: len(self._reloads()) > before, START)
        record = self._reloads()[before]
        return Answer(
            ok=record["event"] == "reloaded",
            message=record["event"],
            details=tuple(record.get("reasons") or ()),
        )

    async def ended(self, seconds: float) -> int | None:
        """The exit code, or None if the program still runs after so many seconds."""
        await until(lambda: self.process.poll() is not None, seconds)
        return self.process.poll()

    # From outside.

    def running(self) -> list[Running]:
        """Every process whose working folder is ours, the oldest first; the dead do not count."""
        found = [_running(entry, self.folder) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return sorted(filter(None, found), key=lambda running: running.pid)

    def workers(self) -> list[int]:
        """The processes of workers, the one in reserve included."""
        return [running.pid for running in self.running() if WORKER in running.command]

    async def serving(self) -> list[int]:
        """The workers that serve, as the program itself says."""
        answer = await ask(self.config, "status", START, self.environment)
        lines = [line.split() for line in answer.details if line.startswith("worker ")]
        return [int(words[1].rstrip(":")) for words in lines]

    def kill(self) -> None:
        """Kills every process there is of it, in no order."""
        for running in self.running():
            kill(running.pid)
        if self._process is not None:
            self._process.wait()

    async def gone(self) -> list[Running]:
        """The processes that are still there when all should long be gone."""
        await until(lambda: not self.running(), LINGER)
        return self.running()

    def port_is_free(self) -> bool:
        """Whether another program could listen there now."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
                probe.listen()
            except OSError:
                return False
        return True

    def parts(self) -> list[str]:
        """Files in the cache that were begun and never got their name."""
        return [path.name for path in self.cache.glob("part-*")]

    def age_parts(self, seconds: float) -> None:
        """Lets those files have been begun so many seconds earlier."""
        then = time.time() - seconds
        for name in self.parts():
            os.utime(self.cache / name, (then, then))

    def forget_compiled(self) -> None:
        """Removes every compiled module."""
        for path in self.cache.glob("*.cwasm"):
            path.unlink()

    def phase(self) -> str:
        """What the log says last of a deploy."""
        deploys = {"service_started", "reloaded", "reload_refused"}
        said = [record["event"] for record in self.records() if record.get("event") in deploys]
        return str(said[-1]).replace("_", " ") if said else "nothing said"

    def records(self) -> list[dict[str, Any]]:
        """Every record since the last start; a line that a kill has cut short is left out."""
        whole, _, _ = self._log.read_bytes().rpartition(b"\n")
        return [record for line in whole.split(b"\n") if (record := _record(line))]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The records of one event."""
        mark = f'"event":"{event}"'.encode()
        whole, _, _ = self._log.read_bytes().rpartition(b"\n")
        return [_record(line) for line in whole.split(b"\n") if mark in line]

    def close(self) -> None:
        """Ends everything."""
        self.kill()
        shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def _log(self) -> Path:
        return self.folder / f"log-{self._starts}"

    def _is_said(self, event: str) -> bool:
        return bool(self.of(event))

    def _reloads(self) -> list[dict[str, Any]]:
        return [record for record in self.records() if record["event"] in {"reloaded", "reload_refused"}]


def kill(pid: int) -> None:
    """Kills one process, if it still is."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def until(holds: Callable[[], bool], seconds: float) -> None:
    """Waits until something holds that is only seen from outside, or for so many seconds."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:  # noqa: ASYNC110 - seen from outside
        await asyncio.sleep(0.02)


def free_port() -> int:
    """A port that nobody has, and that the kernel gives to no client: a crash must leave it free."""
    random = SystemRandom()
    while True:
        port = random.randrange(*_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _running(entry: Path, folder: Path) -> Running | None:
    try:
        if os.readlink(entry / "cwd") != str(folder):  # noqa: PTH115 - to be compared as it is
            return None
        command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        starter = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended, or is another user's
        return None
    return Running(int(entry.name), command, starter)


def _record(line: bytes) -> dict[str, Any]:
    """A record, or nothing where two processes were killed while they wrote."""
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return record
