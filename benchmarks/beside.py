"""A process of ours beside the server, on the load's core, that is asked in lines.

A module of this package and what it is given come in; its answers go out.
It must never outlive the `with` that it was started for.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from benchmarks import machine
from benchmarks.contestants import LOAD_CORE
from benchmarks.load import LoadFailed
from benchmarks.modules import ROOT


class Beside:
    """The process from the beginning of a `with` to its end; it is ready once its first line was heard."""

    def __init__(self, module: str, given: object) -> None:
        self._module, self._given = module, given
        self.first: Any = None
        """What it said when it was ready."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["taskset", "-c", LOAD_CORE, sys.executable, "-m", self._module, json.dumps(self._given)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.first = self.hear()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, word: str) -> Any:
        """Its answer to a word; raises LoadFailed when it has ended."""
        self.tell(word)
        return self.hear()

    def tell(self, word: str) -> None:
        """Says a word that has no answer, or whose answer is asked for later."""
        if self._process.stdin is not None:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()

    def hear(self) -> Any:
        """Its next line; raises LoadFailed when it has ended."""
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise LoadFailed(f"{self._module} ended with {self._process.wait()}")
        return json.loads(line)

    def wait(self) -> None:
        """Waits for its own end, so that its processor time is counted with that of our children."""
        self._process.wait()

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return machine.cpu(self._process.pid)


def descriptors() -> int:
    """How many a process may have from now on: as many as the system gives us and all that we start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
