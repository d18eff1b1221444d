"""The folders of an invocation: opened for it, and gone with it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from serverless_wasm.storage.folder import Folder, Opening
from serverless_wasm.storage.handles import Handles
from serverless_wasm.storage.mounts import SCRATCH, SOON, Mount, Mounts
from storage.trees import refused


def open_descriptors() -> int:
    """Of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_each_invocation_has_its_own(tmp_path: Path) -> None:
    """Mounts under their names, and a scratch folder that nobody else sees."""
    (tmp_path / "site").mkdir()
    mounts = Mounts(
        mounts=(
            Mount(name="/data", path=tmp_path / "site"),
            Mount(name="/w", path=tmp_path / "site", write=True),
        ),
        scratch=1 << 20,
        parent=str(tmp_path / "scratch"),
    )
    before = open_descriptors()

    first, second = mounts.open(), mounts.open()

    assert {b"/data": False, b"/w": True, SCRATCH: True} == {n: f.writable for n, f in first.folders.items()}
    first.folders[SCRATCH].make_folder(b"a")
    assert [".", ".."] == [os.fsdecode(name) for name, *_ in second.folders[SCRATCH].names()]
    for opened in (first, second):
        opened.close()
        opened.close()
    assert [] == list((tmp_path / "scratch").iterdir())
    assert before == open_descriptors()


def test_a_large_scratch_folder_is_removed_in_a_thread(tmp_path: Path) -> None:
    """The loop does not wait for it; it is gone before the loop is."""
    mounts = Mounts(scratch=4 * SOON, parent=str(tmp_path / "scratch"))

    async def main() -> None:
        opened = mounts.open()
        folder = opened.folders[SCRATCH]
        for number in range(200):
            folder.open(b"%d" % number, Opening(write=True, create=True)).close()
        opened.close()

    asyncio.run(main())

    assert [] == list((tmp_path / "scratch").iterdir())


def test_a_folder_that_is_gone_is_told_of(tmp_path: Path) -> None:
    """When the application is loaded, in a sentence; an invocation opens all or nothing."""
    (tmp_path / "here").mkdir()
    mounts = Mounts(
        mounts=(Mount(name="/a", path=tmp_path / "here"), Mount(name="/b", path=tmp_path / "gone"))
    )
    before = open_descriptors()

    assert [f"mounts: /b is {tmp_path}/gone, which is no folder; make it, or write another path"] == list(
        mounts.missing()
    )
    with pytest.raises(FileNotFoundError):
        mounts.open()
    assert before == open_descriptors()


def test_invocations_share_what_an_application_may_have_open(tmp_path: Path) -> None:
    """Files and folders, in mounts and in scratch folders; their own folders do not count."""
    (tmp_path / "site").mkdir()
    mounts = Mounts(
        mounts=(Mount(name="/data", path=tmp_path / "site", write=True),),
        scratch=1 << 20,
        parent=str(tmp_path / "scratch"),
        handles=Handles(3),
    )
    make = Opening(write=True, create=True)
    before = open_descriptors()
    first, second = mounts.open(), mounts.open()
    file = first.folders[b"/data"].open(b"file", make)
    folder = second.folders[b"/data"].open(b".", Opening())
    assert isinstance(folder, Folder)
    deeper = folder.open(b"file", Opening())
    held = open_descriptors()

    for full in (folder, first.folders[SCRATCH], second.folders[b"/data"]):
        assert "EMFILE" == refused(full.open, b"new", make)
    assert held == open_descriptors()
    assert ["file"] == [path.name for path in (tmp_path / "site").iterdir()]
    for name, why in ((b"gone", "ENOENT"), (b"../up", "EPERM")):  # what cannot be opened counts for nothing
        deeper.close()
        assert why == refused(first.folders[b"/data"].open, name, Opening())
        deeper = second.folders[SCRATCH].open(b"new", make)

    for opened in (file, folder, deeper, deeper):
        opened.close()
    assert 0 == mounts.handles.open
    for each in (first, second):
        each.close()
    assert 0 == mounts.handles.open
    assert before == open_descriptors()
