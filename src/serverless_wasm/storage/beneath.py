"""Names below a folder on disk, resolved one step at a time: nothing outside of it can be reached.

A folder's descriptor and a path of a guest's come in; an open folder and a name in it go out.
It must never let the kernel resolve more than one name, nor follow a link itself: `..`, a symbolic link, and
a folder that is renamed meanwhile lead nowhere but to what was opened on the way.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

LINKS = 40
"""Symbolic links on the way to one file, as Linux counts them (path_resolution(7))."""
LONGEST = 4096
"""Bytes of a path: PATH_MAX of Linux."""
DEPTH = 128
"""Folders on the way to one file: each is a descriptor while the path is resolved."""
STEPS = 1024
"""Names that are looked up for one path, `a/../a/..` and links included: a call stays within milliseconds."""
LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder is opened whose names are read."""
# O_PATH needs no right to list the folder; macOS does not have it
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def refusal(number: int) -> OSError:
    """The error that the system raises with this errno."""
    return OSError(number, os.strerror(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder that is open, and the name of something in it; an empty name is the folder itself.

    The name never has a slash: a system call that is given it takes one step. `must_be_folder` where the
    path had one at its end.
    """

    folder: int
    name: bytes
    must_be_folder: bool = False


@contextmanager
def resolve(root: int, path: bytes, *, follow: bool) -> Iterator[Place]:
    """Where a path leads below `root`; with `follow`, or a slash at its end, through a link at its end, too.

    What it names need not exist. Raises OSError: EPERM where it would leave `root`, even to come back, ELOOP,
    ENOENT, ENOTDIR, ENAMETOOLONG, EINVAL and EILSEQ for what is no path.
    """
    walk = _Walk(root)
    try:
        yield walk.to(path, follow=follow)
    finally:
        walk.close()


class _Walk:
    """The folders from the root to where we are, each open."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._open: list[int] = []
        self._links = 0
        self._steps = 0

    @property
    def _here(self) -> int:
        return self._open[-1] if self._open else self._root

    def to(self, path: bytes, *, follow: bool) -> Place:
        """Walks to the folder of what the path names."""
        rest = _names(path)
        must_be_folder = path.endswith(b"/")
        while rest:
            name = rest.pop()
            if name == b".":
                continue
            if name == b"..":
                self._up()
                continue
            if rest:
                target = self._down(name)
            else:
                target = self._link(name) if follow or must_be_folder else None
                if target is None:
                    return Place(folder=self._here, name=name, must_be_folder=must_be_folder)
                must_be_folder |= target.endswith(b"/")
            if target is not None:
                rest += _names(target)
        return Place(folder=self._here, name=b"")

    def close(self) -> None:
        """Frees every folder but the root."""
        while self._open:
            os.close(self._open.pop())

    def _up(self) -> None:
        if not self._open:
            raise refusal(errno.EPERM)
        os.close(self._open.pop())

    def _down(self, name: bytes) -> bytes | None:
        """Goes into a folder; if it is a symbolic link, says where that leads instead."""
        self._step()
        if len(self._open) >= DEPTH:
            raise refusal(errno.ENAMETOOLONG)
        try:
            self._open.append(os.open(name, _STEP, dir_fd=self._here))
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
        else:
            return None
        target = self._link(name)
        if target is None:
            raise refusal(errno.ENOTDIR)
        return target

    def _link(self, name: bytes) -> bytes | None:
        """Where a symbolic link leads; None if it is none, or nothing."""
        self._step()
        try:
            target = os.readlink(name, dir_fd=self._here)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENOENT}:
                return None
            raise
        self._links += 1
        if self._links > LINKS:
            raise refusal(errno.ELOOP)
        return target

    def _step(self) -> None:
        self._steps += 1
        if self._steps > STEPS:
            raise refusal(errno.ENAMETOOLONG)


def require_path(path: bytes) -> None:
    """Raises OSError for what cannot be a path below a folder."""
    if not path:
        raise refusal(errno.ENOENT)
    if len(path) >= LONGEST:
        raise refusal(errno.ENAMETOOLONG)
    if b"\0" in path:
        raise refusal(errno.EINVAL)
    try:
        path.decode()
    except UnicodeDecodeError:
        raise refusal(errno.EILSEQ) from None
    if path.startswith(b"/"):
        raise refusal(errno.EPERM)


def _names(path: bytes) -> list[bytes]:
    """The steps of a path, the first one last; `.` stays: `file/.` is not the file."""
    require_path(path)
    return [name for name in reversed(path.split(b"/")) if name]


def walk(
    root: int,
    visit: Callable[[int, os.DirEntry[str]], bool],
    leave: Callable[[int, str], None] | None = None,
) -> None:
    """Visits everything below a folder, however deep, with one folder open at a time.

    `visit` is called with each entry and its folder and says whether to go into it, `leave` with a folder's
    name and its parent once all of it has been visited. What is removed meanwhile is passed over. Raises
    OSError; ESTALE when a folder was moved meanwhile.
    """
    here = os.open(".", LISTED, dir_fd=root)
    above: list[tuple[tuple[int, int], str, list[str]]] = []
    try:
        names = _visited(here, visit)
        while names or above:
            if names:
                name, parent = names.pop(), identity(os.fstat(here))
                try:
                    here = _instead(here, name)
                except FileNotFoundError:
                    continue
                above.append((parent, name, names))
                names = _visited(here, visit)
            else:
                parent, name, names = above.pop()
                here = _instead(here, "..")
                if identity(os.fstat(here)) != parent:
                    raise refusal(errno.ESTALE)
                if leave is not None:
                    leave(here, name)
    finally:
        os.close(here)


def _visited(folder: int, visit: Callable[[int, os.DirEntry[str]], bool]) -> list[str]:
    """The names in a folder that are to be gone into; none once it is removed."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return [entry.name for entry in entries if visit(folder, entry)]
    return []


def _instead(folder: int, name: str) -> int:
    """Opens a folder next to this one, and closes this one."""
    opened = os.open(name, LISTED, dir_fd=folder)
    os.close(folder)
    return opened


def identity(found: os.stat_result) -> tuple[int, int]:
    """What tells a file from every other: its names may change."""
    return found.st_dev, found.st_ino
