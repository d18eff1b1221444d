"""wasi:filesystem/types: what is done with names below a folder that is open.

Paths of the guest come in; what the folder answers, or a code, goes out.
It must never look into a path, nor decide what may be reached: storage/folder.py and tree_folder.py do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from serverless_wasm.abi.wasi_http.filesystem_descriptor import (
    TIMES,
    Descriptor,
    Later,
    Timestamp,
    chosen,
)
from serverless_wasm.abi.wasi_http.filesystem_open import after
from serverless_wasm.abi.wasi_http.filesystem_types import (
    DESCRIPTOR_FLAGS,
    DIRECTORY_ENTRY,
    HASH,
    OPEN_FLAGS,
    PATH_FLAGS,
    STAT,
    answered,
    hash_of,
    identity_of,
    kind_of,
    or_error,
    stat_in_store,
    stat_of,
)
from serverless_wasm.abi.wasi_http.interface import Ok, Refusal, Resource, borrow, method, own
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.storage.beneath import LONGEST
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import Folder, Opening
from serverless_wasm.wasm.components.types import STRING, Option, Type

_SYNCHRONOUS = frozenset({"file-integrity-sync", "data-integrity-sync", "requested-write-sync"})
_ONLY_OF_FILES = frozenset({"create", "exclusive", "truncate"})
_NAME = 64
"""Bytes that a name takes here beside its own."""


class DirectoryEntryStream(Resource):
    """What was in a folder when it was asked, one entry after the other."""

    __slots__ = ("_entries", "_files", "_size")
    name = "wasi:filesystem/types/directory-entry-stream"

    def __init__(self, world: World, entries: Sequence[tuple[str, bytes]]) -> None:
        super().__init__()
        self._files = world.files
        self._size = sum(len(name) + _NAME for _, name in entries)
        self._files.hold_listing(self._size)
        self._entries = iter(entries)

    def next(self) -> tuple[str, str] | None:
        """The next one, None behind the last; raises Refusal for a name that is no text."""
        for kind, name in self._entries:
            return kind, _text(name)
        return None

    def drop(self) -> None:
        """Forgets it."""
        self._files.hold_listing(-self._size)


def _read_directory(world: World, descriptor: Descriptor) -> Later:
    folder = descriptor.folder
    listed = _in_store if isinstance(folder, TreeFolder) else _on_disk
    return answered(world, folder.names, lambda names: DirectoryEntryStream(world, list(listed(names))))


def _on_disk(names: Sequence[tuple[str, int, int]]) -> Iterator[tuple[str, bytes]]:
    """But for `.` and `..`, which the interface leaves out."""
    return ((kind_of(mode), os.fsencode(name)) for name, _, mode in names if name not in {".", ".."})


def _in_store(names: Sequence[tuple[bytes, bool]]) -> Iterator[tuple[str, bytes]]:
    return (("directory" if is_folder else "regular-file", name) for name, is_folder in names)


def _read_entry(world: World, entries: DirectoryEntryStream) -> Ok:
    return Ok(entries.next())


def _open_at(  # noqa: PLR0913, PLR0917 - as WASI has it
    world: World, at: Descriptor, lookup: frozenset[str], path: str, how: frozenset[str],
    flags: frozenset[str],
) -> Later:  # fmt: skip
    folder, name, opening = at.folder, _path(path), _opening(lookup, how, flags)
    files = world.files

    def work() -> Any:
        files.require_room()
        if isinstance(folder, TreeFolder):
            return after(files.tidy(), lambda: folder.open(name, opening))
        return folder.open(name, opening)

    def made(entry: Any) -> Descriptor:
        return Descriptor(files.open(entry), _granted(entry, flags))

    return answered(world, work, made)


def _opening(lookup: frozenset[str], how: frozenset[str], flags: frozenset[str]) -> Opening:
    if "directory" in how and how & _ONLY_OF_FILES:
        raise Refusal("invalid")
    if flags & _SYNCHRONOUS:
        raise Refusal("unsupported")
    return Opening(
        read="read" in flags or "write" not in flags,
        write="write" in flags or "truncate" in how,
        create="create" in how,
        exclusive="exclusive" in how,
        truncate="truncate" in how,
        folder="directory" in how,
        follow=bool(lookup),
    )


def _granted(entry: object, flags: frozenset[str]) -> frozenset[str]:
    """What a descriptor may be used for: a file as it was asked for, a folder as the operator has it."""
    if isinstance(entry, Folder | TreeFolder):
        return flags_of(entry)
    return flags & {"read", "write"}


def flags_of(folder: Folder | TreeFolder) -> frozenset[str]:
    """The DESCRIPTOR_FLAGS of a folder."""
    writable = folder.tree.writable if isinstance(folder, TreeFolder) else folder.writable
    return frozenset({"read", "mutate-directory"} if writable else {"read"})


def _stat_at(world: World, at: Descriptor, lookup: frozenset[str], path: str) -> Later:
    folder, name = at.folder, _path(path)
    if isinstance(folder, TreeFolder):
        return answered(world, lambda: folder.look(name), lambda found: stat_in_store(world, found[1]))
    return answered(
        world, lambda: folder.stat(name, follow=bool(lookup)), lambda found: stat_of(world, found)
    )


def _hash_at(world: World, at: Descriptor, lookup: frozenset[str], path: str) -> Later:
    folder, name = at.folder, _path(path)
    if isinstance(folder, TreeFolder):
        return answered(world, lambda: folder.look(name), lambda found: hash_of((folder.device, found[0])))
    return answered(
        world,
        lambda: folder.stat(name, follow=bool(lookup)),
        lambda found: hash_of(identity_of(found)),
    )


def _set_times_at(  # noqa: PLR0913, PLR0917 - as WASI has it
    world: World, at: Descriptor, lookup: frozenset[str], path: str, accessed: Timestamp,
    modified: Timestamp,
) -> Later:  # fmt: skip
    folder, name, follow = _on_this_machine(at), _path(path), bool(lookup)

    def work() -> None:
        times = chosen(world, folder.stat(name, follow=follow), accessed, modified)
        folder.set_times(name, times, follow=follow)

    return answered(world, work)


def _link_at(  # noqa: PLR0913, PLR0917 - as WASI has it
    world: World, at: Descriptor, lookup: frozenset[str], path: str, other: Descriptor, other_path: str
) -> Later:
    folder, target, follow = _on_this_machine(at), _on_this_machine(other), bool(lookup)
    names = _path(path), target, _path(other_path)
    return answered(world, lambda: folder.link(*names, follow=follow))


def _symlink_at(world: World, at: Descriptor, target: str, path: str) -> Later:
    folder = _on_this_machine(at)
    return answered(world, lambda: folder.make_link(_path(target), _path(path)))


def _readlink_at(world: World, at: Descriptor, path: str) -> Later:
    folder, name = at.folder, _path(path)
    if isinstance(folder, TreeFolder):
        return answered(world, lambda: folder.look(name), _no_link)
    return answered(world, lambda: folder.read_link(name), _text)


def _no_link(_: object) -> str:
    """Nothing in a store is one."""
    raise Refusal("invalid")


def _rename_at(world: World, at: Descriptor, path: str, other: Descriptor, other_path: str) -> Later:
    folder, target = at.folder, other.folder
    names = _path(path), _path(other_path)
    if isinstance(folder, TreeFolder) and isinstance(target, TreeFolder):
        return answered(world, lambda: folder.rename(names[0], target, names[1]))
    if isinstance(folder, Folder) and isinstance(target, Folder):
        return answered(world, lambda: folder.rename(names[0], target, names[1]))
    raise Refusal("cross-device")


def _create_directory_at(world: World, at: Descriptor, path: str) -> Later:
    return answered(world, lambda: at.folder.make_folder(_path(path)))


def _remove_directory_at(world: World, at: Descriptor, path: str) -> Later:
    return answered(world, lambda: at.folder.remove_folder(_path(path)))


def _unlink_file_at(world: World, at: Descriptor, path: str) -> Later:
    return answered(world, lambda: at.folder.remove(_path(path)))


def _on_this_machine(at: Descriptor) -> Folder:
    """The folder, for what no store can do."""
    folder = at.folder
    if isinstance(folder, TreeFolder):
        raise Refusal("unsupported")
    return folder


def _path(path: str) -> bytes:
    encoded = path.encode()
    if len(encoded) > LONGEST:
        raise Refusal("name-too-long")
    return encoded


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Refusal("illegal-byte-sequence") from None


def _method(name: str, call: Callable[..., Later], *params: tuple[str, Type], gives: Any = None) -> Any:
    return method(Descriptor, name, call, *params, gives=or_error(gives), waits=True)


_FLAGS, _PATH, _OLD, _NEW = (
    ("path-flags", PATH_FLAGS),
    ("path", STRING),
    ("old-path", STRING),
    ("new-path", STRING),
)
_INTO = ("new-descriptor", borrow(Descriptor))
METHODS = (
    _method("read-directory", _read_directory, gives=own(DirectoryEntryStream)),
    _method("create-directory-at", _create_directory_at, _PATH),
    _method("stat-at", _stat_at, _FLAGS, _PATH, gives=STAT),
    _method("set-times-at", _set_times_at, _FLAGS, _PATH, *TIMES),
    _method("link-at", _link_at, ("old-path-flags", PATH_FLAGS), _OLD, _INTO, _NEW),
    _method(
        "open-at", _open_at, _FLAGS, _PATH, ("open-flags", OPEN_FLAGS), ("flags", DESCRIPTOR_FLAGS),
        gives=own(Descriptor),
    ),
    _method("readlink-at", _readlink_at, _PATH, gives=STRING),
    _method("remove-directory-at", _remove_directory_at, _PATH),
    _method("rename-at", _rename_at, _OLD, _INTO, _NEW),
    _method("symlink-at", _symlink_at, _OLD, _NEW),
    _method("unlink-file-at", _unlink_file_at, _PATH),
    _method("metadata-hash-at", _hash_at, _FLAGS, _PATH, gives=HASH),
    method(
        DirectoryEntryStream, "read-directory-entry", _read_entry, gives=or_error(Option(DIRECTORY_ENTRY))
    ),
)  # fmt: skip
