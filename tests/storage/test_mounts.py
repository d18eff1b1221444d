"""The folders of an invocation: opened for it, and gone with it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from serverless_wasm.storage.folder import Opening
from serverless_wasm.storage.mounts import SCRATCH, SOON, Mount, Mounts


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
