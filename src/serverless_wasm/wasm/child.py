"""The compiler's process and the messages to and from it.

A job goes in as plain data and the module's bytes; plain data comes out, or ChildEnded.
It must never wait for an answer that cannot come, nor take more of one than an answer can have.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from serverless_wasm.wasm.module_limits import ModuleLimits

SIZE = struct.Struct("!Q")
"""What stands before each message: how many bytes it has."""
MAX_ANSWER = 64 * 1024
MAX_WORDS = 4096
LINGER = 5.0
"""Seconds to wait for the words of a child that is gone: somebody else may hold its pipe."""
THREADS = 4
"""At most: more would take more from others, and each needs address space of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSettings:
    """What a child is told first, and once."""

    folder: str
    fuel: bool
    structure: ModuleLimits

    def encode(self) -> bytes:
        """As the bytes of a message."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, message: bytes) -> ChildSettings:
        """Of such bytes."""
        values = json.loads(message)
        return cls(**values | {"structure": ModuleLimits(**values["structure"])})


class ChildEnded(Exception):
    """The child is gone; `words` is what it said last."""

    def __init__(self, code: int, words: bytes) -> None:
        self.signal = -code
        self.words = words.strip()
        super().__init__(f"signal {-code}" if code < 0 else f"exit code {code}")


class Child:
    """A running process; made with `start`."""

    def __init__(
        self, transport: asyncio.SubprocessTransport, process: Process, settings: ChildSettings
    ) -> None:
        self.process = process.pid
        self._transport = transport
        self._process = process
        self._unsent = [settings.encode()]

    @classmethod
    async def start(cls, settings: ChildSettings) -> Child:
        """Starts one; raises OSError when there cannot be one."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(limit=MAX_ANSWER, loop=loop),
            sys.executable, "-P", "-m", "serverless_wasm.wasm.compiling", str(os.getpid()),
            stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, env=_environment(),
        )  # fmt: skip
        return cls(transport, Process(transport, protocol, loop), settings)

    async def ask(self, job: dict[str, int], data: bytes) -> dict[str, Any]:
        """What it answers to a job; nothing when the answer is none.

        Raises ChildEnded when the child does before it has answered.
        """
        _, stdout, _ = self._pipes
        try:
            first, self._unsent = self._unsent, []
            await self._send(*first, json.dumps(job).encode(), data)
            (size,) = SIZE.unpack(await stdout.readexactly(SIZE.size))
            answer = json.loads(await stdout.readexactly(size)) if size <= MAX_ANSWER else None
        except (ConnectionError, asyncio.IncompleteReadError):
            raise ChildEnded(await self._process.wait(), await self._words()) from None
        except (ValueError, RecursionError):
            answer = None
        return answer if isinstance(answer, dict) else {}

    @property
    def fresh(self) -> bool:
        """Whether it was never asked."""
        return bool(self._unsent)

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    def kill(self) -> None:
        """Ends it at once, whatever it does; `ask` raises ChildEnded then."""
        if not self.gone:
            with suppress(ProcessLookupError):
                os.killpg(self.process, signal.SIGKILL)  # it leads a session of its own

    async def end(self) -> None:
        """Kills it, and waits until nothing is left of it; nobody may be asking it."""
        stdin, _, _ = self._pipes
        self.kill()
        if not stdin.is_closing():
            stdin.transport.abort()  # nobody reads what was not sent yet
        for number in (1, 2):  # waiting means for their ends as well, which may be behind what nobody reads
            pipe = self._transport.get_pipe_transport(number)
            if pipe is not None:
                pipe.close()
        # Only then: closing polls for the end as well, and the loop would miss what that finds.
        await self._process.wait()
        self._transport.close()

    @property
    def _pipes(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader, asyncio.StreamReader]:
        stdin, stdout, stderr = self._process.stdin, self._process.stdout, self._process.stderr
        assert stdin and stdout and stderr  # noqa: S101, PT018 - for the type checker: all are PIPE
        return stdin, stdout, stderr

    async def _send(self, *messages: bytes) -> None:
        stdin, _, _ = self._pipes
        for message in messages:
            stdin.write(SIZE.pack(len(message)))
            stdin.write(message)
        await stdin.drain()

    async def _words(self) -> bytes:
        """The end of what a child that is gone has said; pipe and reader bound the whole."""
        _, _, stderr = self._pipes
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                return (await stderr.read())[-MAX_WORDS:]
        return b""


def _environment() -> dict[str, str]:
    """Nothing of ours but what it takes to find Python and this package; then what bounds the engine."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    threads = min(THREADS, os.cpu_count() or 1)
    return kept | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "RAYON_NUM_THREADS": str(threads),
        "MALLOC_ARENA_MAX": str(threads),  # each reserves 64 MiB of address space
    }
