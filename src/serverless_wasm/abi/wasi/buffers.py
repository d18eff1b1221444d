"""The buffers of one call: arrays of `iovec`, each a pointer and a size that the guest made up.

An array comes in; bytes out of the buffers, or what is to be written to each of them, goes out.
They may overlap: none must be looked at again once something was written. Nor is more than MOST_BYTES copied.
"""

from __future__ import annotations

import errno

from serverless_wasm.abi.wasi.layout import IOVEC
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.wasm.memory import Window, window

MOST_BYTES = 1024 * 1024
"""What one call reads or writes; it has done less than it was asked for then, which it may, and says so."""
_MOST_BUFFERS = 1024
"""IOV_MAX, as C libraries for WASI have it."""
Writes = tuple[tuple[Window, bytes], ...]


def buffers(vector: Window) -> list[Window]:
    """The buffers of an array; raises OSError (EINVAL) when they are too many."""
    if vector.size > _MOST_BUFFERS * IOVEC.size:
        raise refusal(errno.EINVAL)
    return [window(vector.memory, start, size) for start, size in IOVEC.iter_unpack(vector.read())]


def gather(vector: Window) -> bytes:
    """What the buffers hold, one after the other."""
    parts: list[bytes] = []
    most = MOST_BYTES
    for each in buffers(vector):
        part = each.read(most)
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def room(into: list[Window]) -> int:
    """Bytes that are to be read into the buffers."""
    return min(sum(each.size for each in into), MOST_BYTES)


def scatter(into: list[Window], data: bytes) -> Writes:
    """What goes where, one buffer being filled after the other."""
    writes: list[tuple[Window, bytes]] = []
    at = 0
    for each in into:
        writes.append((each, data[at : at + each.size]))
        at += each.size
    return tuple(writes)
