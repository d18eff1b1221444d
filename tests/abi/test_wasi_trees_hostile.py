"""Whatever a guest passes to WASI's calls on files of stores: an errno, or its end, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abi.commands import READ, RESULT, WRITE, Commands, Streams, open_files
from abi.test_wasi_hostile import EXAMPLES, PATHS, PLACES, STAGE, calls_of, grounds
from serverless_wasm.abi.wasi.functions import FUNCTIONS
from serverless_wasm.abi.wasi.layout import OpenFlags
from serverless_wasm.abi.wasi.process import Mount, Process
from serverless_wasm.abi.wasi.trees import CALLS
from serverless_wasm.errors import CapabilityError, InvocationError
from serverless_wasm.limits import MIB, Limits
from serverless_wasm.storage.files.stores import Place
from serverless_wasm.storage.files.tree_file import Session
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.wasm.linker import HostFunction
from storage.backends import files

Program = list[tuple[str, tuple[int, ...]]]
MOST = MIB
OF_FILES = [each for each in FUNCTIONS if each.name in CALLS]


async def attacked(commands: Commands, folder: Path, program: Program) -> None:
    """Makes the calls in a process that has the folder as a place, until one ends the guest as it may."""
    place = Place(name="/data", where=folder, write=True, quota=MOST)
    told: list[CapabilityError] = []
    async with files(place, limits=Limits(file_size=MOST)) as granted:
        session = Session(MOST, told.append)
        root = TreeFolder(granted.trees[b"/data"], session)
        streams = Streams()
        process = Process(streams.descriptors(), [Mount(name=b"/data", folder=root)])
        async with commands.running(process, Limits(timeout=5)) as command:
            for name, values in program:
                try:
                    await command.call(name, *values, stage=STAGE)
                except InvocationError:
                    break
            assert 0 <= session.left <= MOST
        assert (MOST, {}) == (session.left, session.files)
    assert all(str(error) for error in told)


def harmless(commands: Commands, parent: Path, program: Program) -> None:
    """Whatever the guest did, it did to its place: nothing beside it has changed, nothing stays open."""
    folder = grounds(parent)
    asyncio.run(attacked(commands, folder, program))
    assert open_files(parent) == 0
    assert sorted(path.name for path in parent.iterdir()) == ["mount", "secret"]
    assert (parent / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("function", OF_FILES, ids=lambda function: function.name)
def test_any_arguments(commands: Commands, tmp_path: Path, function: HostFunction) -> None:
    """One call with anything: it answers with an errno, or ends the guest."""

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(calls_of(function))
    def check(call: tuple[str, tuple[int, ...]]) -> None:
        harmless(commands, tmp_path, [call])

    check()


def test_any_program(commands: Commands, tmp_path: Path) -> None:
    """Many calls with anything, each on what those before it have left, some files being open."""
    opens = st.sampled_from((b"file", b"new", b"folder/new", b"folder")).map(_opening)
    anything = st.one_of(opens, st.sampled_from(OF_FILES).flatmap(calls_of))

    @settings(max_examples=3 * EXAMPLES, deadline=None)
    @given(st.lists(anything, min_size=5, max_size=25))
    def check(program: Program) -> None:
        harmless(commands, tmp_path, program)

    check()


def _opening(path: bytes) -> tuple[str, tuple[int, ...]]:
    """To read and to write, which makes it."""
    at, size = PLACES[PATHS.index(path)]
    how = int(OpenFlags.CREAT) if path != b"folder" else 0
    rights = READ | (WRITE if path != b"folder" else 0)
    return "path_open", (3, 1, at, size, how, rights, 0, 0, RESULT)
