"""The process that compiles, from outside: one child, one module at a time, within limits.

A module's bytes come in; an Artifact, whose code is in the cache, or a refusal with its reason goes out.
It must never load the engine, nor believe more of the child than plain data can say.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from serverless_wasm.errors import CompileError
from serverless_wasm.limits import MIB
from serverless_wasm.text import printable
from serverless_wasm.wasm.artifacts import Artifact, Cache, digest_of
from serverless_wasm.wasm.binary import require_code
from serverless_wasm.wasm.child import Child, ChildEnded, ChildSettings
from serverless_wasm.wasm.module_limits import ModuleLimits

GIB = 1024 * MIB
STOPPING = "was not compiled: the service is stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What compiling one module may cost: processor seconds, bytes of memory, seconds."""

    cpu: int
    memory: int
    wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilerLimits:
    """What compiling may cost, and how much more for each MiB of a module that is larger than one.

    Honest modules were measured to take 0.3 to 2 s a MiB on one machine: PostgreSQL (9 MB) 11 s and
    0.4 GiB, Ruby (17 MB) 31 s and 1.3 GiB, CPython (26 MB) 8 s and 0.4 GiB, Biome (46 MB) 54 s and 1.3 GiB.
    """

    cpu: int = 10
    """Processor seconds, of all the engine's threads together."""
    cpu_per_mib: int = 4
    memory: int = 1536 * MIB
    """Bytes of address space beyond what the process has before."""
    memory_per_mib: int = 16 * MIB
    grace: float = 30.0
    """Seconds to wait for an answer at least, ..."""
    patience: float = 20.0
    """... and for each of processor time: the child is nice, and others may be busy."""
    idle: float = 10.0
    """Seconds that the child stays when there is nothing to compile."""
    structure: ModuleLimits = field(default_factory=ModuleLimits)

    def allowance(self, size: int) -> Allowance:
        """What a module of so many bytes may cost."""
        more = max(0, size - MIB) / MIB
        cpu = round(self.cpu + self.cpu_per_mib * more)
        memory = round(self.memory + self.memory_per_mib * more)
        return Allowance(cpu=cpu, memory=memory, wall=self.grace + self.patience * cpu)


class Compiling(Protocol):
    """Whatever makes artifacts of modules."""

    async def compile(self, data: bytes) -> Artifact:
        """The artifact of these bytes; raises CompileError."""

    async def close(self) -> None:
        """Ends what is being compiled, and frees everything."""


class CompilerProcess:
    """Compiles in a child process, which is started when it is needed and ended when it is not.

    `fuel` says whether the code must count instructions.
    """

    def __init__(self, cache: Cache, *, fuel: bool = False, limits: CompilerLimits | None = None) -> None:
        self._cache = cache
        self._fuel = fuel
        self._limits = limits or CompilerLimits()
        self._turn = asyncio.Lock()
        self._child: Child | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._closed = False

    async def compile(self, data: bytes) -> Artifact:
        """The artifact of these bytes, from the cache or compiled now, after all that came before.

        Raises CompileError, with the reason, when they are no module that may be compiled.
        """
        require_code(data)
        digest, found = await asyncio.to_thread(self._find, data)
        if found:
            return found
        async with self._turn:
            if self._closed:
                raise CompileError(STOPPING)
            return await self._ask(data, digest)

    async def close(self) -> None:
        """Ends the child, whatever it does, and waits until nothing is left of it."""
        self._closed = True
        if self._child:
            self._child.kill()
        async with self._turn:  # whoever waited for it has been told
            self._retire()
            await asyncio.gather(*self._ending)

    def _find(self, data: bytes) -> tuple[str, Artifact | None]:
        digest = digest_of(data)
        return digest, self._cache.find(digest, fuel=self._fuel)

    async def _ask(self, data: bytes, digest: str) -> Artifact:
        allowance = self._limits.allowance(len(data))
        job = {"cpu": allowance.cpu, "memory": allowance.memory}
        answer: dict[str, Any] = {}
        try:
            answer = await self._answer(job, data, allowance)
        except TimeoutError:
            raise CompileError(f"did not compile within {allowance.wall:.0f} s") from None
        except ChildEnded as end:
            raise CompileError(_reason(end, allowance)) from None
        finally:
            if answer.get("last") is False:
                self._rest()
            else:
                self._retire()
        return _artifact(answer, digest, allowance)

    async def _answer(self, job: dict[str, int], data: bytes, allowance: Allowance) -> dict[str, Any]:
        """What a child answers; one that was killed may have been so while it rested, before it was asked.

        Then the module has another one to itself, and only what kills that one, too, is to blame.
        """
        child = await self._awake()
        fresh = child.fresh
        try:
            async with asyncio.timeout(allowance.wall):
                return await child.ask(job, data)
        except ChildEnded as end:
            if fresh or self._closed or end.signal != signal.SIGKILL:
                raise
        self._retire()
        child = await self._awake()
        async with asyncio.timeout(allowance.wall):
            return await child.ask(job, data)

    async def _awake(self) -> Child:
        """The child, started if there is none, and none is ended by the timer meanwhile."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        if self._child and self._child.gone:  # somebody has killed it while it rested
            self._retire()
        if self._child is None:
            folder = str(self._cache.folder)
            settings = ChildSettings(folder=folder, fuel=self._fuel, structure=self._limits.structure)
            try:
                self._child = await Child.start(settings)
            except OSError as error:
                raise CompileError(f"was not compiled: no process starts ({error.strerror})") from error
        if self._closed:
            raise CompileError(STOPPING)
        return self._child

    def _rest(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(self._limits.idle, self._retire)

    def _retire(self) -> None:
        """Ends the child at once; nothing waits for it but `close`."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        child, self._child = self._child, None
        if child:
            task = asyncio.get_running_loop().create_task(self._end(child))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, child: Child) -> None:
        await child.end()
        await asyncio.to_thread(self._cache.sweep, child.process)


def _reason(end: ChildEnded, allowance: Allowance) -> str:
    """Why a child that ended did so, as far as can be told from how."""
    if end.signal == signal.SIGXCPU:
        return f"would need more than {allowance.cpu} s of processor time to compile"
    if b"memory allocation" in end.words or b"MemoryError" in end.words:
        return too_much_memory(allowance.memory)
    last = printable(end.words.rpartition(b"\n")[2], 200)
    return f"was not compiled: the compiler ended ({end}){last and ': '}{last}"


def too_much_memory(allowed: int) -> str:
    """The refusal of a module that the allowance is not enough for."""
    return f"would need more than {allowed / GIB:.1f} GiB of memory to compile"


def _artifact(answer: dict[str, Any], digest: str, allowance: Allowance) -> Artifact:
    """What the child has answered; it may have been taken over by what it compiled."""
    match answer:
        case {"refused": str(reason)}:
            raise CompileError(printable(reason))
        case {"exhausted": "memory"}:
            raise CompileError(too_much_memory(allowance.memory))
    with suppress(ValueError):
        artifact = Artifact.from_facts(answer.get("module"))
        if artifact.digest == digest:
            return artifact
    raise CompileError("was not compiled: the compiler's answer makes no sense")
