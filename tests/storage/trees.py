"""Short words for what tests of folders do, and a second opinion of where a path leads."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from serverless_wasm.storage.beneath import walk
from serverless_wasm.storage.folder import File, Folder, Opening

SECRET = b"nobody may read this"
"""What lies outside; see conftest.py."""
MAKE = Opening(write=True, create=True)
READ = Opening(follow=True)
Tree = dict[str, "Tree | str | None"]
"""A folder: by name a folder, where a link leads, or None for a file."""


def refused(call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """The name of the errno that a call is refused with; anything but OSError passes through."""
    try:
        answer = call(*arguments, **named)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    if isinstance(answer, File | Folder):
        answer.close()
    return f"answered {answer!r}"


def file(folder: Folder, path: bytes, how: Opening = MAKE) -> File:
    """Opens what must be a file."""
    opened = folder.open(path, how)
    assert isinstance(opened, File)
    return opened


def below(folder: Folder, path: bytes) -> Folder:
    """Opens what must be a folder."""
    opened = folder.open(path, READ)
    assert isinstance(opened, Folder)
    return opened


def put(folder: Folder, path: bytes, content: bytes) -> None:
    """Writes a file."""
    opened = file(folder, path)
    try:
        assert len(content) == opened.write_at(content, 0)
    finally:
        opened.close()


def content(folder: Folder, path: bytes) -> bytes:
    """What a file holds."""
    opened = file(folder, path, READ)
    try:
        return opened.read_at(1000, 0)
    finally:
        opened.close()


def descriptors() -> int:
    """How many descriptors of files this process has; connections to stores end when it suits them."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found += not str(path.readlink()).startswith(("socket:", "anon_inode:"))
    return found


def names_in(folder: Path) -> set[str]:
    """What is in a folder."""
    return {path.name for path in folder.iterdir()}


def dig(at: Path, depth: int) -> None:
    """Makes a folder in a folder in a folder."""
    here = os.open(at, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)


def fill_in(at: Path) -> None:
    """Removes what `dig` made: pytest could not."""
    top = os.open(at, os.O_RDONLY)
    try:
        walk(top, lambda _folder, _entry: True, lambda folder, name: os.rmdir(name, dir_fd=folder))
    finally:
        os.close(top)


def plant(tree: Tree, at: Path) -> None:
    """Makes a tree on disk."""
    for name, what in tree.items():
        if isinstance(what, dict):
            (at / name).mkdir()
            plant(what, at / name)
        elif what is None:
            (at / name).write_bytes(name.encode())
        else:
            (at / name).symlink_to(what)


class Guide:
    """Says where a path leads in a tree: a plain reading of path_resolution(7) that never leaves it."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._links = 0

    def lead(self, path: str, start: tuple[str, ...] = (), *, follow: bool) -> tuple[str, ...]:
        """The names from the root to what is there; raises OSError."""
        if path.startswith("/"):
            raise OSError(errno.EPERM, path)
        if not path:
            raise OSError(errno.ENOENT, path)
        at, parts = start, path.split("/")
        for number, part in enumerate(parts):
            is_last = number == len(parts) - 1
            at = self._step(at, part, follow=follow or not is_last)
        return at

    def _step(self, at: tuple[str, ...], part: str, *, follow: bool) -> tuple[str, ...]:
        here = self._at(at)
        if not isinstance(here, dict):
            raise OSError(errno.ENOTDIR, part)
        if part in {"", "."}:
            return at
        if part == "..":
            if not at:
                raise OSError(errno.EPERM, part)
            return at[:-1]
        if part not in here:
            raise OSError(errno.ENOENT, part)
        target = here[part]
        if not isinstance(target, str) or not follow:
            return (*at, part)
        self._links += 1
        if self._links > 40:
            raise OSError(errno.ELOOP, part)
        return self.lead(target, at, follow=True)

    def _at(self, at: tuple[str, ...]) -> Tree | str | None:
        here: Tree | str | None = self._tree
        for name in at:
            assert isinstance(here, dict)
            here = here[name]
        return here
