"""Whoever changes the folder meanwhile, nothing outside is read or made."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from serverless_wasm.storage.folder import File, Folder, Opening
from serverless_wasm.storage.quota import Quota
from storage.trees import MAKE, READ, SECRET, below, names_in, refused

SECONDS = 1.0
"""How long each race lasts: thousands of rounds."""


@contextmanager
def meanwhile(*steps: Callable[[], object]) -> Iterator[list[int]]:
    """Does the steps in another thread, again and again; counts the rounds."""
    rounds, is_over = [0], threading.Event()

    def run() -> None:
        while not is_over.is_set():
            for step in steps:
                step()
            rounds[0] += 1

    other = threading.Thread(target=run)
    other.start()
    try:
        yield rounds
    finally:
        is_over.set()
        other.join()
    assert rounds[0] > 10


def for_a_while() -> Iterator[None]:
    """Until SECONDS are over."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        yield


def moving(source: Path, target: Path) -> Callable[[], object]:
    """A rename."""
    return lambda: source.rename(target)


def read(folder: Folder, path: bytes) -> bytes:
    """What there is at this moment; nothing if it is refused."""
    try:
        opened = folder.open(path, READ)
    except OSError:
        return b""
    try:
        return opened.read_at(100, 0) if isinstance(opened, File) else b""
    finally:
        opened.close()


def test_a_folder_that_becomes_a_link(folder: Folder, root: Path) -> None:
    """On the way to a file: what is opened is the file inside, or nothing."""
    (root / "x").mkdir()
    (root / "x" / "secret").write_bytes(b"inside")
    (root / "link").symlink_to(root.parent / "outside")
    swap = (moving(root / "x", root / "y"), moving(root / "link", root / "x"))
    back = (moving(root / "x", root / "link"), moving(root / "y", root / "x"))

    with meanwhile(*swap, *back):
        seen = {read(folder, b"x/secret") for _ in for_a_while()}

    assert b"inside" in seen
    assert SECRET not in seen


def test_a_file_that_becomes_a_link(folder: Folder, root: Path) -> None:
    """At the end of a path, where it is looked at before it is opened."""
    (root / "x").write_bytes(b"inside")
    (root / "link").symlink_to("../secret")
    swap = (moving(root / "x", root / "y"), moving(root / "link", root / "x"))
    back = (moving(root / "x", root / "link"), moving(root / "y", root / "x"))

    with meanwhile(*swap, *back):
        seen = {read(folder, b"x") for _ in for_a_while()}

    assert b"inside" in seen
    assert SECRET not in seen


def test_a_folder_that_becomes_a_link_at_the_end(folder: Folder, root: Path) -> None:
    """It is not the link's folder that is opened, nor anything in that."""
    (root / "x").mkdir()
    (root / "x" / "inside").write_bytes(b"")
    (root / "link").symlink_to("../outside")
    swap = (moving(root / "x", root / "y"), moving(root / "link", root / "x"))
    back = (moving(root / "x", root / "link"), moving(root / "y", root / "x"))
    seen: set[str] = set()

    with meanwhile(*swap, *back):
        for _ in for_a_while():
            with suppress(OSError):
                opened = below(folder, b"x")
                seen |= {name for name, _, _ in opened.names()}
                opened.close()

    assert {".", "..", "inside"} == seen


def test_a_folder_that_moves_up(folder: Folder, root: Path) -> None:
    """The way back from it is the way that was gone, not the one to its new parent."""
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "secret").write_bytes(b"inside")
    path = b"a/b/c/../../../secret"

    with meanwhile(moving(root / "a" / "b" / "c", root / "c"), moving(root / "c", root / "a" / "b" / "c")):
        seen = {read(folder, path) for _ in for_a_while()}

    assert b"inside" in seen
    assert SECRET not in seen


def test_a_pipe_in_the_place_of_a_file(folder: Folder, root: Path) -> None:
    """It is not waited for, nor handed to the guest."""
    (root / "x").write_bytes(b"inside")
    os.mkfifo(root / "pipe")
    swap = (moving(root / "x", root / "y"), moving(root / "pipe", root / "x"))
    back = (moving(root / "x", root / "pipe"), moving(root / "y", root / "x"))

    with meanwhile(*swap, *back):
        seen = {read(folder, b"x") for _ in for_a_while()}

    assert b"inside" in seen


def test_nothing_is_made_outside(folder: Folder, root: Path) -> None:
    """Nor removed, renamed or linked: by no call that takes a path."""
    outside = root.parent / "outside"
    before = {
        path: path.lstat().st_ctime_ns for path in (outside, outside / "secret", root.parent / "secret")
    }
    (root / "x").mkdir()
    (root / "file").write_bytes(b"")
    (root / "link").symlink_to("../outside")
    swap = (moving(root / "x", root / "y"), moving(root / "link", root / "x"))
    back = (moving(root / "x", root / "link"), moving(root / "y", root / "x"))

    with meanwhile(*swap, *back):
        for _ in for_a_while():
            refused(folder.open, b"x/new", MAKE)
            refused(folder.open, b"x/secret", Opening(write=True, truncate=True))
            refused(folder.make_folder, b"x/folder")
            refused(folder.make_link, b"a", b"x/link")
            refused(folder.set_times, b"x/secret", (0, 0), follow=True)
            refused(folder.set_times, b"x/", (0, 0), follow=True)
            refused(folder.link, b"file", folder, b"x/linked", follow=False)
            refused(folder.rename, b"x/new", folder, b"x/secret")
            refused(folder.rename, b"x/secret", folder, b"got")
            refused(folder.remove, b"x/secret")
            refused(folder.remove_folder, b"x/folder/")

    assert {"secret"} == names_in(outside)
    assert before == {path: path.lstat().st_ctime_ns for path in before}


class Rival(Quota):
    """Another process makes the file while the guest is still being counted."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def take(self, size: int) -> None:
        super().take(size)
        self._path.write_bytes(b"other")


@pytest.mark.parametrize(("exclusive", "answer"), [(False, b"other"), (True, b"EEXIST")])
def test_two_make_one_file(root: Path, exclusive: bool, answer: bytes) -> None:  # noqa: FBT001 - a parameter
    """Who comes second opens it, unless only a new one would do; it is not counted then."""
    quota = Rival(root / "file")
    folder = Folder(os.open(root, os.O_RDONLY), writable=True, quota=quota)

    refusal = refused(folder.open, b"file", Opening(create=True, exclusive=exclusive))
    assert answer == (refusal.encode() if exclusive else read(folder, b"file"))
    assert refusal.startswith("answered") is not exclusive
    assert 0 == quota.used
    folder.close()
