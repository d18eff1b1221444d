"""wasi:filesystem/types: what is known of a file, and why something was refused, as the interface writes it.

What the system and the stores say comes in; values of the interface go out.
It must never show a time that is finer than the guest's clocks, nor an inode of the machine.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any

from serverless_wasm.abi.wasi_http.clocks import DATETIME, datetime
from serverless_wasm.abi.wasi_http.interface import Ok, Refusal
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import CapabilityError, NotPermitted, NotThere, TooLarge
from serverless_wasm.storage.files.keeper import Found
from serverless_wasm.wasm.components.types import (
    STRING,
    U64,
    Enum,
    Flags,
    Option,
    Record,
    Result,
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

_CODES = {
    errno.EACCES: "access",
    errno.EBADF: "bad-descriptor",
    errno.EBUSY: "busy",
    errno.EDQUOT: "quota",
    errno.EEXIST: "exist",
    errno.EFBIG: "file-too-large",
    errno.EILSEQ: "illegal-byte-sequence",
    errno.EINVAL: "invalid",
    errno.EISDIR: "is-directory",
    errno.ELOOP: "loop",
    errno.EMFILE: "insufficient-memory",  # the interface has no code for too many files
    errno.EMLINK: "too-many-links",
    errno.ENAMETOOLONG: "name-too-long",
    errno.ENFILE: "insufficient-memory",
    errno.ENOENT: "no-entry",
    errno.ENOMEM: "insufficient-memory",
    errno.ENOSPC: "insufficient-space",
    errno.ENOTDIR: "not-directory",
    errno.ENOTEMPTY: "not-empty",
    errno.ENOTSUP: "unsupported",
    errno.EOVERFLOW: "overflow",
    errno.EPERM: "not-permitted",
    errno.EROFS: "read-only",
    errno.ETXTBSY: "text-file-busy",
    errno.EXDEV: "cross-device",
}
_OF_STORES = ((NotThere, "no-entry"), (NotPermitted, "access"), (TooLarge, "quota"))
_KINDS = {
    stat.S_IFBLK: "block-device",
    stat.S_IFCHR: "character-device",
    stat.S_IFDIR: "directory",
    stat.S_IFIFO: "fifo",
    stat.S_IFLNK: "symbolic-link",
    stat.S_IFREG: "regular-file",
    stat.S_IFSOCK: "socket",
}

Identity = tuple[int, int | str]
"""What tells a file from every other one: its device, and its inode or key there."""


class FileFailure(OSError):
    """What a stream of a file has failed with."""


def or_error(kind: Type | None = None) -> Result:
    """A value of that type, or one of the codes."""
    return Result(kind, ERROR_CODE)


def code_of(error: OSError | CapabilityError) -> str:
    """The error code of a failure."""
    if isinstance(error, OSError):
        return _CODES.get(error.errno or 0, "io")
    return next((code for kind, code in _OF_STORES if isinstance(error, kind)), "io")


def answered(
    world: World, work: Callable[[], Any], value: Callable[[Any], Any] = lambda found: found
) -> Ok | Awaitable[Ok]:
    """What `work` found, made a value; later where a store has to be waited for. Raises Refusal."""
    try:
        found = work()
        if isinstance(found, Awaitable):
            return _answered_later(world, found, value)
        return Ok(value(found))
    except OSError as error:
        raise Refusal(code_of(error)) from None


async def _answered_later(world: World, work: Awaitable[Any], value: Callable[[Any], Any]) -> Ok:
    try:
        return Ok(value(await work))
    except OSError as error:
        raise Refusal(code_of(error)) from None
    except CapabilityError as error:
        world.invocation.tell_refusal(error)
        raise Refusal(code_of(error)) from None


def kind_of(mode: int) -> str:
    """A DESCRIPTOR_TYPE, of what the system says of a file."""
    return _KINDS.get(stat.S_IFMT(mode), "unknown")


def stat_of(world: World, found: os.stat_result) -> tuple[Any, ...]:
    """A STAT of a file of this machine."""
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    shown = (_shown(world, time) for time in times)
    return kind_of(found.st_mode), found.st_nlink, found.st_size, *shown


def stat_in_store(world: World, found: Found) -> tuple[Any, ...]:
    """A STAT of a file of a store; of a folder nobody says when it was changed."""
    if found.is_folder:
        return "directory", 1, 0, None, None, None
    return "regular-file", 1, found.size, *[_shown(world, found.modified_ns)] * 3


def identity_of(found: os.stat_result) -> Identity:
    """That of a file of this machine."""
    return found.st_dev, found.st_ino


def hash_of(identity: Identity) -> tuple[int, int]:
    """A HASH."""
    digest = blake2b(repr(identity).encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8]), int.from_bytes(digest[8:])


def _shown(world: World, time: int) -> tuple[int, int]:
    return datetime(max(time - time % world.clocks.quantum, 0))
