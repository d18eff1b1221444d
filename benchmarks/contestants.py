"""What is compared: how each server is started, what it holds, and that it ends.

A catalogue of contestants comes out; entered, one of them is a running server with a port and a bill.
It must never leave a process behind, whatever ends the run.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from benchmarks import machine
from benchmarks.load import HOST, Request, ask

Isolation = Literal["fresh", "reuse", "none"]
"""A new instance for each request; one instance for all; no WebAssembly."""
SERVER_CORE = "0"
LOAD_CORE = "1"
_PATIENCE = 120.0
"""Seconds until a server must answer; 10,000 applications take a while."""
_PR_SET_CHILD_SUBREAPER = 36
_PAUSE = 0.005
_SHOWN = 2000
_GRACE = 5.0
"""Seconds that a server gets to end by itself before it is killed."""


class NotStarted(Exception):
    """A server ended, or did not answer in time; the text is what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How one server is started: its command, what it adds to the environment, and where it prints."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    silent: bool = False
    """Its output goes to /dev/null, as with us: the access record is on, and nobody reads it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A server that can take part; `prepare` gets a folder of its own and a free port."""

    name: str
    about: str
    isolation: Isolation
    prepare: Callable[[Path, int], Launch]
    """Writes what the server needs into the folder (its working directory) and says how to start it."""


class Running:
    """A contestant from the beginning of a `with` to its end: pinned, in a process group of its own."""

    def __init__(
        self, contestant: Contestant, *, ready: Request | None = None, cores: str = SERVER_CORE
    ) -> None:
        """Waits, once entered, until `ready` is answered as it should be; without one, until no 5xx comes.

        `cores` is a list as taskset(1) takes it.
        """
        self.contestant = contestant
        self.name = contestant.name
        self._ready, self._cores = ready, cores
        self.seconds_to_ready = 0.0
        """From the start of the process to its first good answer."""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            launch = self.contestant.prepare(self.folder, self.port)
            begin = time.monotonic()
            self._process = self._start(launch)
            self._await_answer(launch, begin)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._process is not None:
                end(self._process)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, launch: Launch) -> subprocess.Popen[bytes]:
        with (self.folder / "output").open("wb") as output:
            return subprocess.Popen(
                ["taskset", "-c", self._cores, *launch.command],
                cwd=self.folder,
                env={**os.environ, **launch.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if launch.silent else output,
                stderr=subprocess.DEVNULL if launch.silent else output,
                start_new_session=True,  # Ctrl-C is for us: we end it
            )

    def _await_answer(self, launch: Launch, begin: float) -> None:
        seen = (0, b"")
        while self._process is not None and self._process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                seen = ask(self.port, self._ready or Request())
                if self._good(seen):
                    self.seconds_to_ready = time.monotonic() - begin
                    return
            if time.monotonic() - begin > _PATIENCE:
                raise NotStarted(f"no good answer within {_PATIENCE:g} s; the last was {seen}")
            time.sleep(_PAUSE)
        raise NotStarted(self._explanation(launch))

    def _good(self, seen: tuple[int, bytes]) -> bool:
        if self._ready is None:
            return seen[0] < 500
        return seen == (self._ready.status, self._ready.answer)

    def _explanation(self, launch: Launch) -> str:
        """What a server printed that has ended; one that prints to /dev/null is run once more to hear it."""
        if not launch.silent:
            return (self.folder / "output").read_text(errors="replace")[-_SHOWN:]
        environment = {**os.environ, **launch.environment}
        with suppress(subprocess.TimeoutExpired):
            again = subprocess.run(
                launch.command,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                check=False,
                timeout=_GRACE,
            )
            return (again.stdout + again.stderr).decode(errors="replace")[-_SHOWN:]
        return "it ended, and did not when it was started again"

    @property
    def pid(self) -> int:
        """The process that was started; its children count wherever figures are taken."""
        if self._process is None:
            raise NotStarted(f"{self.name} has not been entered")
        return self._process.pid

    @property
    def processes(self) -> list[int]:
        """The process and everything it has started."""
        return machine.tree(self.pid)

    def cpu(self) -> float:
        """Seconds of processor time so far, of the whole tree."""
        return machine.cpu(self.pid)

    def memory(self) -> machine.Memory:
        """What the whole tree holds now."""
        return machine.memory(self.pid)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and everything it has started, by their ids: asks it first, then kills what is left."""
    family = {pid: machine.born(pid) for pid in machine.tree(process.pid)}
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    finally:  # an interrupted ending ends at once
        family |= {pid: machine.born(pid) for pid in machine.tree(process.pid)}
        kill(family)
        process.wait()


def kill(family: Mapping[int, int | None]) -> None:
    """Kills those of these processes that still run, and waits for their end.

    An id may have been given to a stranger meanwhile: only who was born when it is said is killed.
    """
    left = [pid for pid, born in family.items() if born is not None and machine.born(pid) == born]
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    patience = time.monotonic() + _GRACE
    while any(machine.born(pid) == family[pid] for pid in left) and time.monotonic() < patience:
        time.sleep(_PAUSE)


def adopt() -> None:
    """Makes this process the parent of whatever its children leave behind, so that `sweep` finds it."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def sweep() -> None:
    """Kills everything that this process has started and that still runs."""
    kill({pid: machine.born(pid) for pid in machine.tree(os.getpid())[1:]})


def free_port() -> int:
    """A port of the loopback that nobody listens on now; the kernel chooses."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
