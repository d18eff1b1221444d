"""wasi:filesystem/types: descriptors, and what is done with a file or a folder that is open.

Values of the guest come in; what the file or the folder answers, or a code, goes out.
It must never let a guest do with a descriptor what it was not opened for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from os import stat_result
from typing import Any

from serverless_wasm.abi.wasi.clocks import REALTIME
from serverless_wasm.abi.wasi_http.filesystem_open import Opened
from serverless_wasm.abi.wasi_http.filesystem_streams import (
    FileInput,
    FileOutput,
    FileTarget,
    LocalSource,
    StoredSource,
)
from serverless_wasm.abi.wasi_http.filesystem_types import (
    ADVICE,
    DESCRIPTOR_FLAGS,
    DESCRIPTOR_TYPE,
    HASH,
    NEW_TIMESTAMP,
    STAT,
    Identity,
    answered,
    hash_of,
    identity_of,
    or_error,
    stat_in_store,
    stat_of,
)
from serverless_wasm.abi.wasi_http.interface import Ok, Refusal, Resource, borrow, method, own
from serverless_wasm.abi.wasi_http.streams import InputStream, OutputStream
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.storage.files.keeper import FOLDER
from serverless_wasm.storage.files.tree_file import TreeFile
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import MOST_BYTES, File, Folder
from serverless_wasm.wasm.components.types import BOOL, BYTES, U64, TupleOf

Later = Ok | Awaitable[Ok]
Timestamp = tuple[str, Any]
"""A value of NEW_TIMESTAMP."""

_SECOND = 1_000_000_000
_MOST_TIME = 2**63 - 1


class Descriptor(Resource):
    """A file or a folder that is open; `flags` are what it was opened for."""

    __slots__ = ("flags", "opened")
    name = "wasi:filesystem/types/descriptor"

    def __init__(self, opened: Opened, flags: frozenset[str]) -> None:
        super().__init__()
        self.opened = opened
        self.flags = flags

    @property
    def file(self) -> File | TreeFile:
        """The file; raises Refusal for a folder."""
        entry = self.opened.entry
        if isinstance(entry, File | TreeFile):
            return entry
        raise Refusal("bad-descriptor")

    @property
    def folder(self) -> Folder | TreeFolder:
        """The folder; raises Refusal for a file."""
        entry = self.opened.entry
        if isinstance(entry, Folder | TreeFolder):
            return entry
        raise Refusal("not-directory")

    def file_for(self, use: str) -> File | TreeFile:
        """The file, if it was opened to `read` or to `write`; else raises Refusal."""
        file = self.file
        if use not in self.flags:
            raise Refusal("bad-descriptor")
        return file

    @property
    def identity(self) -> Identity:
        """What tells it from every other one; raises OSError."""
        match self.opened.entry:
            case File() as file:
                return identity_of(file.stat())
            case Folder() as folder:
                return identity_of(folder.own_stat())
            case stored:
                return stored.device, stored.key

    def drop(self) -> None:
        """Gives it back; a stream may still have it."""
        self.opened.give_back()


def _read_via_stream(world: World, descriptor: Descriptor, offset: int) -> Ok:
    file = descriptor.file_for("read")
    if isinstance(file, TreeFile):
        source: LocalSource | StoredSource = StoredSource(file, offset, world.invocation.tell_refusal)
    else:
        source = LocalSource(file, offset)
    return Ok(FileInput(source, descriptor.opened))


def _write_via_stream(world: World, descriptor: Descriptor, offset: int) -> Later:
    return _output(world, descriptor, offset)


def _append_via_stream(world: World, descriptor: Descriptor) -> Later:
    return _output(world, descriptor, None)


def _output(world: World, descriptor: Descriptor, offset: int | None) -> Later:
    file = descriptor.file_for("write")

    def made(_: object) -> FileOutput:
        return FileOutput(FileTarget(file, offset), descriptor.opened)

    return answered(world, file.fetch if isinstance(file, TreeFile) else _nothing, made)


def _nothing() -> None:
    """What need not be done."""


def _advise(world: World, descriptor: Descriptor, offset: int, length: int, advice: str) -> Ok:
    """It need not be taken."""
    _ = descriptor.file
    return Ok()


def _sync(world: World, descriptor: Descriptor) -> Later:
    entry = descriptor.opened.entry
    return answered(world, _nothing if isinstance(entry, TreeFolder) else entry.sync)


def _get_flags(world: World, descriptor: Descriptor) -> Ok:
    return Ok(descriptor.flags)


def _get_type(world: World, descriptor: Descriptor) -> Ok:
    is_folder = isinstance(descriptor.opened.entry, Folder | TreeFolder)
    return Ok("directory" if is_folder else "regular-file")


def _set_size(world: World, descriptor: Descriptor, size: int) -> Later:
    file = descriptor.file_for("write")
    return answered(world, lambda: file.resize(size))


def _set_times(world: World, descriptor: Descriptor, accessed: Timestamp, modified: Timestamp) -> Later:
    match descriptor.opened.entry:
        case File() as file:
            return answered(world, lambda: file.set_times(chosen(world, file.stat(), accessed, modified)))
        case Folder() as folder:
            times = chosen(world, folder.own_stat(), accessed, modified)
            return answered(world, lambda: folder.set_times(b".", times, follow=False))
        case _:
            raise Refusal("unsupported")


def _read(world: World, descriptor: Descriptor, length: int, offset: int) -> Later:
    file, most = descriptor.file_for("read"), min(length, MOST_BYTES)

    def value(data: bytes) -> tuple[bytes, bool]:
        return data, not data and most > 0

    return answered(world, lambda: file.read_at(most, offset), value)


def _write(world: World, descriptor: Descriptor, data: bytes, offset: int) -> Later:
    file = descriptor.file_for("write")
    return answered(world, lambda: file.write_at(data, offset))


def _stat(world: World, descriptor: Descriptor) -> Later:
    match descriptor.opened.entry:
        case File() as file:
            return answered(world, file.stat, lambda found: stat_of(world, found))
        case Folder() as folder:
            return answered(world, folder.own_stat, lambda found: stat_of(world, found))
        case TreeFile() as stored:
            return Ok(stat_in_store(world, stored.found))
        case TreeFolder():
            return Ok(stat_in_store(world, FOLDER))


def _is_same_object(world: World, descriptor: Descriptor, other: Descriptor) -> bool:
    try:
        return descriptor.identity == other.identity
    except OSError:
        return False


def _metadata_hash(world: World, descriptor: Descriptor) -> Later:
    return answered(world, lambda: descriptor.identity, hash_of)


def chosen(world: World, before: stat_result, accessed: Timestamp, modified: Timestamp) -> tuple[int, int]:
    """The times that a file is to have, given those it has; raises Refusal for one that there is not."""
    now = world.clocks.now(REALTIME)

    def choose(wanted: Timestamp, old: int) -> int:
        match wanted:
            case "timestamp", (seconds, nanoseconds):
                if nanoseconds >= _SECOND:
                    raise Refusal("invalid")
                return min(int(seconds) * _SECOND + int(nanoseconds), _MOST_TIME)
            case "now", _:
                return now
            case _:
                return old

    return choose(accessed, before.st_atime_ns), choose(modified, before.st_mtime_ns)


_OFFSET, _LENGTH = ("offset", U64), ("length", U64)
TIMES = (("data-access-timestamp", NEW_TIMESTAMP), ("data-modification-timestamp", NEW_TIMESTAMP))


def _waiting(name: str, call: Callable[..., Later], *params: Any, gives: Any = None) -> Any:
    """A method that may have to wait for a store."""
    return method(Descriptor, name, call, *params, gives=or_error(gives), waits=True)


def _method(name: str, call: Callable[..., Ok], *params: Any, gives: Any = None) -> Any:
    return method(Descriptor, name, call, *params, gives=or_error(gives))


METHODS = (
    _method("read-via-stream", _read_via_stream, _OFFSET, gives=own(InputStream)),
    _waiting("write-via-stream", _write_via_stream, _OFFSET, gives=own(OutputStream)),
    _waiting("append-via-stream", _append_via_stream, gives=own(OutputStream)),
    _method("advise", _advise, _OFFSET, _LENGTH, ("advice", ADVICE)),
    _waiting("sync-data", _sync),
    _method("get-flags", _get_flags, gives=DESCRIPTOR_FLAGS),
    _method("get-type", _get_type, gives=DESCRIPTOR_TYPE),
    _waiting("set-size", _set_size, ("size", U64)),
    _waiting("set-times", _set_times, *TIMES),
    _waiting("read", _read, _LENGTH, _OFFSET, gives=TupleOf((BYTES, BOOL))),
    _waiting("write", _write, ("buffer", BYTES), _OFFSET, gives=U64),
    _waiting("sync", _sync),
    _waiting("stat", _stat, gives=STAT),
    method(
        Descriptor, "is-same-object", _is_same_object, ("other", borrow(Descriptor)), gives=BOOL
    ),
    _waiting("metadata-hash", _metadata_hash, gives=HASH),
)  # fmt: skip
