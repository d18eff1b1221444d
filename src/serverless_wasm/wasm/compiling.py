"""The process that compiles, from inside: `python -m serverless_wasm.wasm.compiling`, see wasm/child.py.

Jobs come in through the standard input; answers go out through what was the standard output.
It must never outlive its parent, nor spend more on a job than the job allows.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import wasmtime

from serverless_wasm.errors import CompileError
from serverless_wasm.parent import end_with
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.child import SIZE, ChildSettings
from serverless_wasm.wasm.code import compile_code
from serverless_wasm.wasm.engine import CompilingEngine

NICE = 10
_NO_MEMORY = f"(os error {errno.ENOMEM})"
_SMALLEST = b"\0asm\1\0\0\0\1\4\1\x60\0\0\3\2\1\0\x0a\4\1\2\0\x0b"
"""A module of one empty function."""


class Workshop:
    """Answers jobs, one after the other."""

    def __init__(self, settings: ChildSettings) -> None:
        self._structure = settings.structure
        self._cache = Cache(Path(settings.folder))
        self._engine = CompilingEngine(fuel=settings.fuel)
        wasmtime.Module(self._engine.wheel, _SMALLEST).close()  # starts the engine's threads
        self._base = _address_space()

    def answer(self, job: dict[str, int], data: bytes) -> dict[str, Any]:
        """What became of a module; SIGXCPU ends the process instead when it takes too long."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, round(used.ru_utime + used.ru_stime) + job["cpu"])
        if self._base:
            _limit(resource.RLIMIT_AS, self._base + job["memory"])
        answer: dict[str, Any]
        try:
            artifact = compile_code(self._engine, data, self._cache, self._structure)
            answer = {"module": artifact.facts()}
        except CompileError as error:
            answer = {"exhausted": "memory"} if _NO_MEMORY in str(error) else {"refused": str(error)}
        except MemoryError:
            return {"exhausted": "memory", "last": True}
        # What was not given back would be added to what the next job may take.
        return answer | {"last": _address_space() > self._base + job["memory"] // 4}


def main() -> None:
    """Answers until there is nobody to ask."""
    end_with(int(sys.argv[1]))
    os.nice(NICE)
    _limit(resource.RLIMIT_CORE, 0)
    os.set_blocking(2, False)  # nobody may read it: what does not fit is lost
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not answer
    settings = _read(requests)
    if settings is None:
        return
    workshop = Workshop(ChildSettings.decode(settings))
    while (job := _read(requests)) is not None and (data := _read(requests)) is not None:
        message = json.dumps(workshop.answer(json.loads(job), data)).encode()
        del data
        answers.write(SIZE.pack(len(message)) + message)
        answers.flush()


def _read(stream: BinaryIO) -> bytes | None:
    """The next message, or None when there is none any more."""
    head = stream.read(SIZE.size)
    if len(head) < SIZE.size:
        return None
    (size,) = SIZE.unpack(head)
    message = stream.read(size)
    return message if len(message) == size else None


def _limit(kind: int, soft: int) -> None:
    """Moves a limit of this process as far as its hard one allows."""
    hard = resource.getrlimit(kind)[1]
    with suppress(ValueError, OSError):  # not every system has every limit
        resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _address_space() -> int:
    """How much this process has, or 0 where that is not told."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
