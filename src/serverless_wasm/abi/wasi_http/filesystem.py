"""wasi:filesystem: declared whole, so that programs that were built with it run; a component finds no folder.

Calls come in; that there is no folder goes out.
As a descriptor can only be had from another one, none is ever made, and nothing of a disk is reached.
"""

from __future__ import annotations

from typing import NoReturn

from serverless_wasm.abi.wasi_http.clocks import DATETIME
from serverless_wasm.abi.wasi_http.interface import Interface, Resource, borrow, function, method, own
from serverless_wasm.abi.wasi_http.io_error import IoError
from serverless_wasm.abi.wasi_http.streams import InputStream, OutputStream
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import GuestTrap
from serverless_wasm.wasm.components.types import (
    BOOL,
    BYTES,
    STRING,
    U64,
    Enum,
    Flags,
    ListOf,
    Option,
    Record,
    Result,
    TupleOf,
    Type,
    Variant,
)

DESCRIPTOR_TYPE = Enum(
    (
        "unknown", "block-device", "character-device", "directory", "fifo", "symbolic-link", "regular-file",
        "socket",
    )
)  # fmt: skip
DESCRIPTOR_FLAGS = Flags(
    (
        "read", "write", "file-integrity-sync", "data-integrity-sync", "requested-write-sync",
        "mutate-directory",
    )
)  # fmt: skip
PATH_FLAGS = Flags(("symlink-follow",))
OPEN_FLAGS = Flags(("create", "directory", "exclusive", "truncate"))
STAT = Record(
    (
        ("type", DESCRIPTOR_TYPE),
        ("link-count", U64),
        ("size", U64),
        ("data-access-timestamp", Option(DATETIME)),
        ("data-modification-timestamp", Option(DATETIME)),
        ("status-change-timestamp", Option(DATETIME)),
    )
)
NEW_TIMESTAMP = Variant((("no-change", None), ("now", None), ("timestamp", DATETIME)))
DIRECTORY_ENTRY = Record((("type", DESCRIPTOR_TYPE), ("name", STRING)))
ERROR_CODE = Enum(
    (
        "access", "would-block", "already", "bad-descriptor", "busy", "deadlock", "quota", "exist",
        "file-too-large", "illegal-byte-sequence", "in-progress", "interrupted", "invalid", "io",
        "is-directory", "loop", "too-many-links", "message-size", "name-too-long", "no-device", "no-entry",
        "no-lock", "insufficient-memory", "insufficient-space", "not-directory", "not-empty",
        "not-recoverable", "unsupported", "no-tty", "no-such-device", "overflow", "not-permitted", "pipe",
        "read-only", "invalid-seek", "text-file-busy", "cross-device",
    )
)  # fmt: skip
ADVICE = Enum(("normal", "sequential", "random", "will-need", "dont-need", "no-reuse"))
HASH = Record((("lower", U64), ("upper", U64)))


class Descriptor(Resource):
    """A file or a folder; none is ever made."""

    __slots__ = ()
    name = "wasi:filesystem/types/descriptor"


class DirectoryEntryStream(Resource):
    """What is in a folder; none is ever made."""

    __slots__ = ()
    name = "wasi:filesystem/types/directory-entry-stream"


def no_descriptor(world: World, *arguments: object) -> NoReturn:
    """What has to be called with a descriptor, of which there is none."""
    raise GuestTrap("filesystem: there is no descriptor")


def get_directories(world: World) -> list[tuple[Descriptor, str]]:
    return []


def filesystem_error_code(world: World, error: IoError) -> str | None:
    """No stream has failed because of a file."""


def _or_error(kind: Type | None = None) -> Result:
    return Result(kind, ERROR_CODE)


_FLAGS, _PATH, _OLD, _NEW = (
    ("path-flags", PATH_FLAGS),
    ("path", STRING),
    ("old-path", STRING),
    ("new-path", STRING),
)
_OFFSET, _LENGTH, _INTO = ("offset", U64), ("length", U64), ("new-descriptor", borrow(Descriptor))
_TIMES = (("data-access-timestamp", NEW_TIMESTAMP), ("data-modification-timestamp", NEW_TIMESTAMP))
_OF_DESCRIPTORS: tuple[tuple[str, tuple[tuple[str, Type], ...], Type], ...] = (
    ("read-via-stream", (_OFFSET,), _or_error(own(InputStream))),
    ("write-via-stream", (_OFFSET,), _or_error(own(OutputStream))),
    ("append-via-stream", (), _or_error(own(OutputStream))),
    ("advise", (_OFFSET, _LENGTH, ("advice", ADVICE)), _or_error()),
    ("sync-data", (), _or_error()),
    ("get-flags", (), _or_error(DESCRIPTOR_FLAGS)),
    ("get-type", (), _or_error(DESCRIPTOR_TYPE)),
    ("set-size", (("size", U64),), _or_error()),
    ("set-times", _TIMES, _or_error()),
    ("read", (_LENGTH, _OFFSET), _or_error(TupleOf((BYTES, BOOL)))),
    ("write", (("buffer", BYTES), _OFFSET), _or_error(U64)),
    ("read-directory", (), _or_error(own(DirectoryEntryStream))),
    ("sync", (), _or_error()),
    ("create-directory-at", (_PATH,), _or_error()),
    ("stat", (), _or_error(STAT)),
    ("stat-at", (_FLAGS, _PATH), _or_error(STAT)),
    ("set-times-at", (_FLAGS, _PATH, *_TIMES), _or_error()),
    ("link-at", (("old-path-flags", PATH_FLAGS), _OLD, _INTO, _NEW), _or_error()),
    (
        "open-at",
        (_FLAGS, _PATH, ("open-flags", OPEN_FLAGS), ("flags", DESCRIPTOR_FLAGS)),
        _or_error(own(Descriptor)),
    ),
    ("readlink-at", (_PATH,), _or_error(STRING)),
    ("remove-directory-at", (_PATH,), _or_error()),
    ("rename-at", (_OLD, _INTO, _NEW), _or_error()),
    ("symlink-at", (_OLD, _NEW), _or_error()),
    ("unlink-file-at", (_PATH,), _or_error()),
    ("is-same-object", (("other", borrow(Descriptor)),), BOOL),
    ("metadata-hash", (), _or_error(HASH)),
    ("metadata-hash-at", (_FLAGS, _PATH), _or_error(HASH)),
)
FILESYSTEM_TYPES = Interface(
    "wasi:filesystem/types",
    (
        *(
            method(Descriptor, name, no_descriptor, *params, gives=gives)
            for name, params, gives in _OF_DESCRIPTORS
        ),
        method(
            DirectoryEntryStream,
            "read-directory-entry",
            no_descriptor,
            gives=_or_error(Option(DIRECTORY_ENTRY)),
        ),
        function(
            "filesystem-error-code",
            filesystem_error_code,
            ("err", borrow(IoError)),
            gives=Option(ERROR_CODE),
        ),
    ),
    (Descriptor, DirectoryEntryStream),
)
PREOPENS = Interface(
    "wasi:filesystem/preopens",
    (function("get-directories", get_directories, gives=ListOf(TupleOf((own(Descriptor), STRING)))),),
)
