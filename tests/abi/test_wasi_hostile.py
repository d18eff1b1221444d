"""Whatever a guest passes to WASI's calls: an errno, or the end of the guest, and nothing else anywhere."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abi.commands import BY_NAME, MEMORY, RESULT, ROOM, VECTOR, Commands, Streams, open_files
from serverless_wasm.abi.wasi.functions import FUNCTIONS
from serverless_wasm.abi.wasi.process import Mount, Process
from serverless_wasm.errors import GuestTrap, InvocationError
from serverless_wasm.limits import Limits
from serverless_wasm.storage.folder import Folder
from serverless_wasm.wasm.linker import HostFunction, Kind

PATHS = (
    b"file", b"folder", b"folder/", b"link", b"new", b"folder/new", b".", b"..", b"../secret", b"out",
    b"out/secret", b"folder/../../secret", b"/etc/passwd", b"", b"a\0b", b"\xff", b"file/x", b"loop",
    b"x" * 300, b"./link/./..",
)  # fmt: skip
TEXTS = 16_384
VECTORS = (
    ((ROOM, 10),), ((ROOM, 0), (ROOM, 5), (ROOM + 3, 5)), ((VECTOR, 8), (VECTOR, 16)), ((0, MEMORY),),
    ((ROOM, 2**32 - 1),), ((MEMORY, 0), (MEMORY - 1, 1)), ((2**32 - 1, 2**32 - 1),), ((0, MEMORY),) * 40,
)  # fmt: skip
SUBSCRIPTIONS = ROOM + 4096
WANTED = b"".join(
    [struct.pack("<QB7xI4xQQH6x", 1, 0, clock, timeout, 0, flags)
     for clock, timeout, flags in (
         (0, 0, 0), (1, 1, 0), (1, 2**64 - 1, 1), (2, 5, 0), (0, 2**63, 1), (1, 0, 9))]
    + [struct.pack("<QB7xI28x", 2, kind, fd) for kind in (1, 2, 3) for fd in (0, 1, 2, 3, 4, 99)]
)  # fmt: skip
EDGES = (2**31 - 1, 2**31, 2**32 - 1, MEMORY - 8, MEMORY - 1, MEMORY, MEMORY + 1)
WIDE_EDGES = (2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)
EXAMPLES = int(os.environ.get("WASI_EXAMPLES", "40"))
"""Of each call; five times as many of whole programs."""


def staged() -> tuple[dict[int, bytes], list[tuple[int, int]], list[tuple[int, int]]]:
    """The guest's memory, and where and how long the paths and the vectors in it are."""
    memory, paths, vectors = {SUBSCRIPTIONS: WANTED}, [], []
    at = TEXTS
    for path in PATHS:
        memory[at] = path
        paths.append((at, len(path)))
        at += len(path) + 1
    at = VECTOR
    for vector in VECTORS:
        memory[at] = b"".join(struct.pack("<II", *each) for each in vector)
        vectors.append((at, len(vector)))
        at += 8 * len(vector)
    return memory, paths, vectors


STAGE, PLACES, ARRAYS = staged()
small = st.integers(0, 8)
pointers = st.one_of(
    st.sampled_from((RESULT, ROOM, SUBSCRIPTIONS)), st.sampled_from(EDGES), st.integers(0, 2**32 - 1)
)
numbers = st.one_of(small, small, st.sampled_from([1 << bit for bit in range(32)]), pointers)
wide = st.one_of(
    small,
    st.integers(0, 2**30 - 1),
    st.sampled_from(WIDE_EDGES),
    st.integers(0, 2**64 - 1),
    st.integers(0, 70_000),
)


def drawn(kind: Kind) -> st.SearchStrategy[tuple[int, ...]]:
    """What a guest may pass for a parameter, which is often as it should be."""
    if kind == Kind.U32:
        return st.tuples(numbers)
    if kind == Kind.U64:
        return st.tuples(wide)
    if kind.fixed:
        return st.one_of(st.tuples(st.sampled_from((RESULT, RESULT + 64))), st.tuples(pointers))
    known = st.sampled_from(PLACES if kind == Kind.SPAN else ARRAYS)
    return st.one_of(known, known, st.tuples(pointers, st.one_of(small, pointers)))


polls = st.tuples(
    st.tuples(st.integers(0, 23).map(lambda place: SUBSCRIPTIONS + 48 * place)),
    st.tuples(st.sampled_from((ROOM, SUBSCRIPTIONS, SUBSCRIPTIONS + 40))),
    st.tuples(st.integers(0, 30)),
    st.tuples(st.sampled_from((RESULT, SUBSCRIPTIONS))),
)
"""Of what is there: it is found by chance too seldom."""


def calls_of(function: HostFunction) -> st.SearchStrategy[tuple[str, tuple[int, ...]]]:
    """A call of a function."""
    values: st.SearchStrategy[tuple[tuple[int, ...], ...]] = st.tuples(
        *(drawn(kind) for kind in function.params)
    )
    if function.name == "poll_oneoff":
        values = st.one_of(values, polls)
    return values.map(lambda parts: (function.name, tuple(number for part in parts for number in part)))


def grounds(parent: Path) -> Path:
    """A folder for a guest, and a secret beside it."""
    folder = parent / "mount"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_bytes(b"content")
    (folder / "link").symlink_to("folder")
    (folder / "out").symlink_to("..")
    (folder / "loop").symlink_to("loop")
    (parent / "secret").write_bytes(b"secret")
    return folder


async def attacked(commands: Commands, folder: Path, program: list[tuple[str, tuple[int, ...]]]) -> None:
    """Makes the calls, until one ends the guest as it may."""
    streams = Streams()
    streams.body.parts, streams.body.ended = [b"the body", b"goes on"], False
    streams.sink.left = 1000
    opened = Folder.at(str(folder), writable=True, quota=2**20)
    mount = Mount(name=b"/data", folder=opened)
    process = Process(streams.descriptors(), [mount], arguments=[b"one", b"two"], environment=[b"A=B"])
    async with commands.running(process, Limits(timeout=0.03)) as command:
        for name, values in program:
            try:
                await command.call(name, *values, stage=STAGE)
            except InvocationError:
                break
        assert asyncio.all_tasks() <= {asyncio.current_task(), command.ended}
    opened.close()


def harmless(commands: Commands, parent: Path, program: list[tuple[str, tuple[int, ...]]]) -> None:
    """Whatever the guest did, it did to its folder: nothing beside it has changed, nothing stays open."""
    folder = grounds(parent)
    asyncio.run(attacked(commands, folder, program))
    assert open_files(parent) == 0
    assert sorted(path.name for path in parent.iterdir()) == ["mount", "secret"]
    assert (parent / "secret").read_bytes() == b"secret"
    assert (parent / "secret").stat().st_nlink == 1


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_any_arguments(commands: Commands, tmp_path: Path, function: HostFunction) -> None:
    """One call with anything: it answers with an errno, or ends the guest."""

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(calls_of(function))
    def check(call: tuple[str, tuple[int, ...]]) -> None:
        harmless(commands, tmp_path, [call])

    check()


def test_any_program(commands: Commands, tmp_path: Path) -> None:
    """Many calls with anything, each on what those before it have left."""
    anything = st.sampled_from([each for each in FUNCTIONS if each.name != "proc_exit"]).flatmap(calls_of)

    @settings(max_examples=5 * EXAMPLES, deadline=None)
    @given(st.lists(anything, min_size=5, max_size=25))
    def check(program: list[tuple[str, tuple[int, ...]]]) -> None:
        harmless(commands, tmp_path, program)

    check()


BAD_PLACES = (MEMORY, 2**31, 2**32 - 1)


@pytest.mark.parametrize("name", [function.name for function in FUNCTIONS])
def test_places_outside_the_memory(commands: Commands, name: str) -> None:
    """A pointer that leads outside ends the guest, whatever else it passes."""

    async def main(values: list[int]) -> None:
        async with commands.running(Process(Streams().descriptors())) as command:
            with pytest.raises(GuestTrap, match="memory_bounds"):
                await command.call(name, *values)

    kinds = BY_NAME[name].params
    for wrong, kind in enumerate(kinds):
        if not kind.is_window:
            continue
        for place in BAD_PLACES:
            values: list[int] = []
            for at, each in enumerate(kinds):
                if each.is_window:
                    values += [place if at == wrong else RESULT, *([1] * (len(each.core) - 1))]
                else:
                    values.append(0)
            asyncio.run(main(values))


@pytest.mark.parametrize("place", BAD_PLACES)
def test_buffers_outside_the_memory(commands: Commands, tmp_path: Path, place: int) -> None:
    """So does a buffer that a vector names, and nothing was read or written before."""
    folder = grounds(tmp_path)

    async def main(name: str, fd: int, more: tuple[int, ...]) -> None:
        async with commands.at(folder) as command:
            assert await command.open(b"file", 2 | 64) == 4
            vector = struct.pack("<IIII", ROOM, 4, place, 1)
            with pytest.raises(GuestTrap, match="memory_bounds"):
                await command.call(name, fd, VECTOR, 2, *more, RESULT, stage={VECTOR: vector})

    for name, fd, more in (
        ("fd_read", 0, ()), ("fd_read", 4, ()), ("fd_write", 1, ()), ("fd_write", 2, ()), ("fd_write", 4, ()),
        ("fd_pread", 4, (0,)), ("fd_pwrite", 4, (0,)),
    ):  # fmt: skip
        asyncio.run(main(name, fd, more))
    assert (folder / "file").read_bytes() == b"content"
