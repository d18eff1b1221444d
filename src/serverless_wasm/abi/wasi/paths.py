"""The calls of WASI preview 1 on paths, each below a folder that the guest has open.

Paths and windows of a guest's come in; the folder is used, and OSError is raised.
They must never look into a path, nor decide what may be reached: storage/folder.py does.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

from serverless_wasm.abi.wasi.descriptors import OpenFile, OpenFolder
from serverless_wasm.abi.wasi.files import times
from serverless_wasm.abi.wasi.layout import (
    ALL_RIGHTS,
    SIZE,
    SYMLINK_FOLLOW,
    FdFlags,
    OpenFlags,
    Rights,
    filestat,
    require_known,
)
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.storage.folder import File, Folder, Opening
from serverless_wasm.wasm.memory import Window

_LONGEST = 4096
"""PATH_MAX: a longer path is refused before it is read."""
_SYNCHRONOUS = FdFlags.DSYNC | FdFlags.RSYNC | FdFlags.SYNC
_ONLY_OF_FILES = OpenFlags.CREAT | OpenFlags.EXCL | OpenFlags.TRUNC


@dataclass(frozen=True, slots=True)
class Asked:
    """What a guest opens, and what for."""

    path: bytes
    how: Opening
    flags: FdFlags
    reads: bool
    writes: bool


def path_open(process: Process, fd: int, *asked: Any) -> None:
    *words, made = asked
    opening, folder = what_is_asked(*words), _folder(process, fd)
    process.descriptors.require_room()
    opened = folder.open(opening.path, opening.how)
    described: OpenFile | OpenFolder
    if isinstance(opened, File):
        described = OpenFile(opened, opening.flags, reads=opening.reads, writes=opening.writes)
    else:
        described = OpenFolder(opened)
    made.write(SIZE.pack(process.descriptors.add(described)))


def what_is_asked(lookup: int, path: Window, how: int, base: int, inheriting: int, flags: int) -> Asked:  # noqa: PLR0913, PLR0917 - as WASI has it
    """Of the rights that are asked for, those to read and to write count; the others come with them."""
    require_known(base | inheriting, ALL_RIGHTS)
    require_known(how, OpenFlags.DIRECTORY | _ONLY_OF_FILES)
    require_known(flags, _SYNCHRONOUS | FdFlags.APPEND | FdFlags.NONBLOCK)
    if how & OpenFlags.DIRECTORY and how & _ONLY_OF_FILES:
        raise refusal(errno.EINVAL)
    if flags & _SYNCHRONOUS:
        raise refusal(errno.ENOTSUP)
    reads, writes = bool(base & (Rights.FD_READ | Rights.FD_READDIR)), bool(base & Rights.FD_WRITE)
    opening = Opening(
        read=reads or not writes,
        write=writes or bool(how & OpenFlags.TRUNC),
        create=bool(how & OpenFlags.CREAT),
        exclusive=bool(how & OpenFlags.EXCL),
        truncate=bool(how & OpenFlags.TRUNC),
        folder=bool(how & OpenFlags.DIRECTORY),
        follow=_follows(lookup),
    )
    return Asked(path_of(path), opening, FdFlags(flags), reads, writes)


def path_create_directory(process: Process, fd: int, path: Window) -> None:
    _folder(process, fd).make_folder(path_of(path))


def path_filestat_get(process: Process, fd: int, lookup: int, path: Window, found: Window) -> None:
    follow = _follows(lookup)
    stat = _folder(process, fd).stat(path_of(path), follow=follow)
    found.write(filestat(stat, process.clocks.quantum))


def path_filestat_set_times(  # noqa: PLR0913, PLR0917 - as WASI has it
    process: Process, fd: int, lookup: int, path: Window, accessed: int, modified: int, flags: int
) -> None:
    follow, choose = _follows(lookup), times(process, accessed, modified, flags)
    folder, name = _folder(process, fd), path_of(path)
    folder.set_times(name, choose(folder.stat(name, follow=follow)), follow=follow)


def path_link(  # noqa: PLR0913, PLR0917 - as WASI has it
    process: Process, fd: int, lookup: int, path: Window, other: int, other_path: Window
) -> None:
    follow, folder, target = _follows(lookup), _folder(process, fd), _folder(process, other)
    folder.link(path_of(path), target, path_of(other_path), follow=follow)


def path_readlink(process: Process, fd: int, path: Window, buffer: Window, count: Window) -> None:
    target = _folder(process, fd).read_link(path_of(path))
    count.write(SIZE.pack(buffer.write(target)))


def path_remove_directory(process: Process, fd: int, path: Window) -> None:
    _folder(process, fd).remove_folder(path_of(path))


def path_rename(process: Process, fd: int, path: Window, other: int, other_path: Window) -> None:
    folder, target = _folder(process, fd), _folder(process, other)
    folder.rename(path_of(path), target, path_of(other_path))


def path_symlink(process: Process, target: Window, fd: int, path: Window) -> None:
    _folder(process, fd).make_link(path_of(target), path_of(path))


def path_unlink_file(process: Process, fd: int, path: Window) -> None:
    _folder(process, fd).remove(path_of(path))


def _folder(process: Process, fd: int) -> Folder:
    return process.descriptors.folder(fd).folder


def _follows(lookup: int) -> bool:
    require_known(lookup, SYMLINK_FOLLOW)
    return bool(lookup)


def path_of(path: Window) -> bytes:
    """What a guest wrote; raises OSError (ENAMETOOLONG) before it is read."""
    if path.size > _LONGEST:
        raise refusal(errno.ENAMETOOLONG)
    return path.read()
