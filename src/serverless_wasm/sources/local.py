"""Guest code from the local disk.

A path comes in; the bytes of a regular file go out.
It must never wait on a pipe or a device, nor read a file of any size.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from serverless_wasm.errors import SourceError
from serverless_wasm.limits import KIB, MIB
from serverless_wasm.text import printable

SIZE_LIMIT = 256 * MIB  # an interpreter compiled to WebAssembly has 20-30 MiB
_PIECE = 64 * KIB
"""What is asked for at least: files below /proc say that they are empty."""


def read(path: Path) -> bytes:
    """The file's bytes; raises SourceError, a sentence, when it is not a readable regular file."""
    name = printable(str(path))
    try:
        _require_file(name, path.stat())  # before it is opened: a device may do something then
        # What was put in its place meanwhile may be a pipe: opening one must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            facts = os.fstat(descriptor)
            _require_file(name, facts)
            data = _read_all(descriptor, facts.st_size)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or "an impossible path"
        raise SourceError(f"{name} cannot be read: {reason}") from error
    except MemoryError:
        raise SourceError(f"{name} cannot be read: not enough memory") from None
    if len(data) > SIZE_LIMIT:  # files below /proc do not say how large they are
        raise SourceError(f"{name} has more than {SIZE_LIMIT} bytes, the limit")
    return data


def _read_all(descriptor: int, size: int) -> bytes:
    """All that there is, but little more than the limit; the memory for it is asked for as it is needed."""
    pieces: list[bytes] = []
    left = SIZE_LIMIT + 1
    with suppress(BlockingIOError):  # /proc/kmsg would have waited
        while left > 0 and (piece := os.read(descriptor, min(left, max(size + 1, _PIECE)))):
            pieces.append(piece)
            left -= len(piece)
            size -= len(piece)
    return b"".join(pieces)  # of one piece it is that piece, not a copy


def _require_file(name: str, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise SourceError(f"{name} is not a file")
    if facts.st_size > SIZE_LIMIT:
        raise SourceError(f"{name} has {facts.st_size} bytes, the limit is {SIZE_LIMIT}")
