"""Nothing changes below a folder that may only be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from serverless_wasm.storage.folder import Folder, Opening
from storage.trees import READ, below, content, file, refused


@pytest.fixture
def read_only(root: Path) -> Iterator[Folder]:
    """A folder with one thing of each kind."""
    (root / "d" / "empty").mkdir(parents=True)
    (root / "file").write_bytes(b"here")
    (root / "link").symlink_to("file")
    opened = Folder.at(str(root), writable=False)
    yield opened
    opened.close()


def everything(root: Path) -> list[tuple[str, bytes, os.stat_result]]:
    """All that a guest could change, but for when it was read."""
    found = []
    for path in sorted([root, *root.rglob("*")]):
        about = path.lstat()
        same = os.stat_result((*about[:7], 0, *about[8:10]))
        found.append((str(path), path.read_bytes() if path.is_file() else b"", same))
    return found


@pytest.mark.parametrize(
    "how",
    [
        Opening(write=True),
        Opening(read=False, write=True),
        Opening(create=True),
        Opening(create=True, exclusive=True),
        Opening(write=True, truncate=True),
        Opening(truncate=True),
    ],
)
@pytest.mark.parametrize("path", [b"file", b"new", b"link", b"d", b"d/new"])
def test_no_file_is_opened_to_be_changed(read_only: Folder, root: Path, how: Opening, path: bytes) -> None:
    """Whether it is there or not."""
    before = everything(root)

    assert "EROFS" == refused(read_only.open, path, how)
    assert before == everything(root)


def test_no_name_changes(read_only: Folder, root: Path, tmp_path: Path) -> None:
    """Neither here nor through a folder below, nor from or to one that may be written."""
    before = everything(root)
    outside = Folder.at(str(tmp_path / "outside"), writable=True)
    inner = below(read_only, b"d")

    assert not inner.writable
    assert "EROFS" == refused(inner.make_folder, b"new")
    assert "EROFS" == refused(inner.remove_folder, b"empty")
    assert "EROFS" == refused(read_only.make_folder, b"new")
    assert "EROFS" == refused(read_only.remove_folder, b"d/empty")
    assert "EROFS" == refused(read_only.remove, b"file")
    assert "EROFS" == refused(read_only.make_link, b"file", b"new")
    assert "EROFS" == refused(read_only.set_times, b"file", (0, 0), follow=False)
    assert "EROFS" == refused(read_only.set_times, b"link", (0, 0), follow=True)
    assert "EROFS" == refused(read_only.rename, b"file", read_only, b"new")
    assert "EROFS" == refused(read_only.rename, b"file", outside, b"new")
    assert "EROFS" == refused(outside.rename, b"secret", read_only, b"new")
    assert "EROFS" == refused(read_only.link, b"file", read_only, b"new", follow=False)
    assert "EROFS" == refused(read_only.link, b"file", outside, b"new", follow=False)
    assert "EROFS" == refused(outside.link, b"secret", read_only, b"new", follow=False)
    assert before == everything(root)
    inner.close()
    outside.close()


def test_no_open_file_changes(read_only: Folder, root: Path) -> None:
    """Its times neither, which the system would let its owner set."""
    before = everything(root)
    opened = file(read_only, b"file", READ)

    assert "EROFS" == refused(opened.write_at, b"x", 0)
    assert "EROFS" == refused(opened.append, b"x")
    assert "EROFS" == refused(opened.resize, 0)
    assert "EROFS" == refused(opened.allocate, 0, 100)
    assert "EROFS" == refused(opened.set_times, (0, 0))
    assert before == everything(root)
    opened.close()


def test_all_can_be_read(read_only: Folder) -> None:
    """As in any other folder."""
    assert b"here" == content(read_only, b"file") == content(read_only, b"link")
    assert b"file" == read_only.read_link(b"link")
    assert {".", "..", "d", "file", "link"} == {name for name, _, _ in read_only.names()}
    assert 4 == read_only.stat(b"file", follow=False).st_size
