"""A WASI command that does what a test tells it, call by call: a real guest, suspended between two calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import Sandbox, wat
from serverless_wasm.abi.wasi.descriptors import Descriptor, Input, Messages, Output
from serverless_wasm.abi.wasi.functions import FUNCTIONS, NAMESPACE
from serverless_wasm.abi.wasi.layout import FDSTAT, FILESTAT, IOVEC, NUMBERS, SIZE, Rights
from serverless_wasm.abi.wasi.process import Mount, Process
from serverless_wasm.errors import CapabilityError
from serverless_wasm.limits import Limits
from serverless_wasm.storage.files.stores import Files
from serverless_wasm.storage.files.tree_file import Session
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import Folder
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import HostFunction, Kind, LinkedModule, Reply
from serverless_wasm.wasm.memory import Window, window
from serverless_wasm.wasm.plan import Call, Terms

MEMORY = 65_536
RESULT, TEXT, MORE, VECTOR, ROOM = 256, 512, 2048, 4096, 8192
"""Where a test puts what a call is given a pointer to; the arguments lie before it all."""
READ, WRITE = int(Rights.FD_READ), int(Rights.FD_WRITE)
BY_NAME = {function.name: function for function in FUNCTIONS}
_NAMES = {number: name for name, number in NUMBERS.items()}
_END = len(FUNCTIONS)
Stage = Mapping[int, bytes]
"""What lies where in the guest's memory when it makes a call."""


def module(memory: str = '(memory (export "memory") 1)') -> bytes:
    """Asks which function it is to call, calls it with what lies at 0, and says what it answered."""
    imports, wrappers = [], []
    for function in FUNCTIONS:
        kind = function.type
        result = "(result i32)" if kind.results else ""
        imports.append(
            f'(import "{NAMESPACE}" "{function.name}" (func ${function.name}'
            f" (param {' '.join(kind.params)}) {result}))"
        )
        given = " ".join(f"({name}.load (i32.const {8 * place}))" for place, name in enumerate(kind.params))
        call = f"(call ${function.name} {given})"
        wrappers.append(f"(func (result i32) {call if result else f'{call} (i32.const 0)'})")
    elements = " ".join(str(len(imports) + 2 + place) for place in range(len(wrappers)))
    return wat(f"""(module {"".join(imports)}
      (import "env" "next" (func $next (param i32 i32) (result i32)))
      (import "env" "answer" (func $answer (param i32 i32 i32)))
      {"".join(wrappers)} {memory} (type $wrapper (func (result i32)))
      (table {len(wrappers)} funcref) (elem (i32.const 0) {elements})
      (func (export "handle") (local $which i32)
        (loop $again
          (local.set $which (call $next (i32.const 0) (i32.const {MEMORY})))
          (if (i32.lt_u (local.get $which) (i32.const {_END})) (then
            (call $answer (call_indirect (type $wrapper) (local.get $which))
              (i32.const 0) (i32.const {MEMORY}))
            (br $again))))))""")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call answered, and the memory after it."""

    name: str
    memory: bytes

    def size(self, at: int = RESULT) -> int:
        """A `size`, or a descriptor, that was written."""
        return int.from_bytes(self.memory[at : at + 4], "little")

    def wide(self, at: int = RESULT) -> int:
        """A `filesize`, or a `timestamp`, that was written."""
        return int.from_bytes(self.memory[at : at + 8], "little")

    @property
    def fdstat(self) -> tuple[int, int, int, int]:
        """Type, flags, rights, and rights of what is opened through it."""
        found: tuple[int, int, int, int] = FDSTAT.unpack_from(self.memory, RESULT)
        return found

    @property
    def filestat(self) -> tuple[int, ...]:
        """Device, inode, type, links, size, and the times of access, change and state."""
        return FILESTAT.unpack_from(self.memory, RESULT)


class Command:
    """A running guest; `call` tells it what to do."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.refusals: list[CapabilityError] = []
        """What a store refused or failed."""
        self.session: Session | None = None
        """What is not in its store yet."""
        self.ended: asyncio.Task[None] | None = None
        self._calls: asyncio.Queue[tuple[int, bytes, Stage]] = asyncio.Queue()
        self._answers: asyncio.Queue[Answer] = asyncio.Queue()

    async def call(self, name: str, *values: int, stage: Stage | None = None) -> Answer:
        """What the call answers; raises what ended the guest, if that did."""
        place = FUNCTIONS.index(BY_NAME[name])
        masked = b"".join((value % 2**64).to_bytes(8, "little") for value in values)
        self._calls.put_nowait((place, masked, stage or {}))
        answer = asyncio.ensure_future(self._answers.get())
        assert self.ended is not None
        await asyncio.wait({answer, self.ended}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
            self.ended.result()
        return answer.result()

    async def next(self, memory: Window) -> Reply:
        """The host function that the guest asks what to do next."""
        place, values, stage = await self._calls.get()
        writes = [(window(memory.memory, 0, len(values)), values)]
        writes += [(window(memory.memory, at, len(data)), data) for at, data in stage.items()]
        return Reply(place, tuple(writes))

    def answer(self, number: int, memory: Window) -> None:
        """The host function that the guest tells what a call answered."""
        self._answers.put_nowait(Answer(_NAMES[number], memory.read()))

    def tell_refusal(self, error: CapabilityError) -> None:
        """Notes it."""
        self.refusals.append(error)

    def stop(self) -> None:
        """Lets the guest return."""
        self._calls.put_nowait((_END, b"", {}))

    # what tests call most

    async def path(self, name: str, *values: Any) -> Answer:
        """A call that is given paths: of bytes it gets where they lie and how many they are."""
        stage: dict[int, bytes] = {}
        places, given = iter((TEXT, MORE)), list[int]()
        for value in values:
            if isinstance(value, bytes):
                at = next(places)
                stage[at] = value
                given += [at, len(value)]
            else:
                given.append(value)
        return await self.call(name, *given, stage=stage)

    async def open(
        self, path: bytes, rights: int = 0, how: int = 0, flags: int = 0, *, fd: int = 3, follow: int = 1
    ) -> int:
        """The descriptor of a file or a folder."""
        answer = await self.path("path_open", fd, follow, path, how, rights, 0, flags, RESULT)
        assert answer.name == "success"
        return answer.size()

    async def write(self, fd: int, *parts: bytes, offset: int | None = None) -> Answer:
        """`fd_write`, or `fd_pwrite` with an offset, of these buffers."""
        stage, vectors = laid_out([len(part) for part in parts])
        stage.update(dict(zip((start for start, _ in vectors), parts, strict=True)))
        name, more = ("fd_write", []) if offset is None else ("fd_pwrite", [offset])
        return await self.call(name, fd, VECTOR, len(parts), *more, RESULT, stage=stage)

    async def read(self, fd: int, *sizes: int, offset: int | None = None) -> tuple[str, bytes]:
        """`fd_read`, or `fd_pread` with an offset: what it answers, and what was read."""
        stage, vectors = laid_out(sizes)
        name, more = ("fd_read", []) if offset is None else ("fd_pread", [offset])
        answer = await self.call(name, fd, VECTOR, len(sizes), *more, RESULT, stage=stage)
        whole = b"".join(answer.memory[start : start + size] for start, size in vectors)
        return answer.name, whole[: answer.size()] if answer.name == "success" else b""


def laid_out(sizes: Sequence[int]) -> tuple[dict[int, bytes], list[tuple[int, int]]]:
    """An array of buffers, each a byte behind the one before."""
    vectors, at = [], ROOM
    for size in sizes:
        vectors.append((at, size))
        at += size + 1
    return {VECTOR: b"".join(IOVEC.pack(*each) for each in vectors), RESULT: SIZE.pack(0)}, vectors


class Body:
    """A source that a test feeds."""

    def __init__(self, *parts: bytes, ended: bool = False) -> None:
        self.parts = list(parts)
        self.ended = ended
        self.waiting = 0
        self.error: Exception | None = None
        self.changed = asyncio.Event()

    @property
    def ready(self) -> int | None:
        """Of what was fed."""
        return len(self.parts[0]) if self.parts else 0 if self.ended else None

    def take(self, most: int) -> bytes | None:
        """The first part, or what is wanted of it."""
        if not self.parts:
            return b"" if self.ended else None
        part = self.parts.pop(0)
        if part[most:]:
            self.parts.insert(0, part[most:])
        return part[:most]

    async def arrive(self) -> None:
        """Until the test feeds it."""
        self.waiting += 1
        try:
            while self.ready is None:
                await self.changed.wait()
                if self.error is not None:
                    raise self.error
        finally:
            self.waiting -= 1

    def feed(self, part: bytes) -> None:
        """One more part, or the end if it is empty."""
        if part:
            self.parts.append(part)
        else:
            self.ended = True
        self.changed.set()


class Sink:
    """A target with so much room, of which a test makes more."""

    def __init__(self, left: int = 2**20) -> None:
        self.left = left
        self.taken = b""
        self.waiting = 0
        self.flushed = 0
        self.refusal: Exception | None = None
        self.changed = asyncio.Event()

    def put(self, data: bytes) -> int:
        """What there is room for."""
        if self.refusal is not None:
            raise self.refusal
        part = data[: self.left]
        self.taken += part
        self.left -= len(part)
        return len(part)

    def flush(self) -> None:
        """Counts."""
        self.flushed += 1

    async def room(self) -> None:
        """Until the test makes some."""
        self.waiting += 1
        try:
            while not self.left and self.refusal is None:
                self.changed.clear()
                await self.changed.wait()
        finally:
            self.waiting -= 1

    def make(self, left: int) -> None:
        """Room for so much."""
        self.left = left
        self.changed.set()


class Streams:
    """The standard streams of a test."""

    def __init__(self) -> None:
        self.body = Body(ended=True)
        self.sink = Sink()
        self.lines: list[bytes] = []

    def descriptors(self) -> list[Descriptor]:
        """As a process takes them."""
        return [Input(self.body), Output(self.sink), Messages(self.lines.append, 100)]


class Commands:
    """Runs commands in a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        ask = HostFunction("next", (Kind.SPAN,), "i32", Command.next, waits=True)
        tell = HostFunction("answer", (Kind.U32, Kind.SPAN), None, Command.answer)
        linker = sandbox.linker((*FUNCTIONS, ask, tell))
        self.linked: LinkedModule = linker.link(sandbox.compiler.compile(module()), Terms())

    @asynccontextmanager
    async def running(self, process: Process, limits: Limits | None = None) -> AsyncIterator[Command]:
        """A command of this process; whatever the test does, all of it is gone afterwards."""
        command = Command(process)
        fiber: Fiber = self.sandbox.fiber(self.linked, command, limits or Limits(), Call(b"handle"))
        command.ended = asyncio.create_task(self.sandbox.scheduler.run(fiber))
        try:
            yield command
        finally:
            command.ended.cancel()
            await asyncio.gather(command.ended, return_exceptions=True)
            fiber.close()
            process.close()

    @asynccontextmanager
    async def at(self, folder: Path, *, writable: bool = True) -> AsyncIterator[Command]:
        """A command with idle streams and this folder as /data, which is descriptor 3."""
        opened = Folder.at(str(folder), writable=writable)
        mount = Mount(name=b"/data", folder=opened)
        try:
            async with self.running(Process(Streams().descriptors(), [mount])) as command:
                yield command
        finally:
            opened.close()

    @asynccontextmanager
    async def on(self, files: Files, most: int = 2**20) -> AsyncIterator[Command]:
        """A command with idle streams and these places, which may hold so many bytes that are changed."""
        told: list[CapabilityError] = []
        session = Session(most, told.append)
        mounts = [Mount(name=name, folder=TreeFolder(tree, session)) for name, tree in files.trees.items()]
        async with self.running(Process(Streams().descriptors(), mounts)) as command:
            command.refusals, command.session = told, session
            yield command


async def until(happened: Callable[[], bool]) -> None:
    """Lets the loop run until something has happened."""
    while not happened():  # noqa: ASYNC110 - it is looked at from outside, and sets no event
        await asyncio.sleep(0)


def open_files(folder: Path) -> int:
    """Descriptors of this process that are of a folder or of something in it."""
    links = list(Path("/proc/self/fd").iterdir())
    return sum(_target(link).startswith(str(folder)) for link in links)


def _target(link: Path) -> str:
    """What a descriptor is of; it may be that with which the others were listed."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


Test = Callable[[Command], Coroutine[Any, Any, None]]
"""What a test does with a command."""
