"""Guest code from the local disk.

A path comes in; the bytes of a regular file go out.
It must never wait on a pipe or a device, nor read a file of any size.
"""

from __future__ import annotations

import stat
from pathlib import Path

from serverless_wasm.errors import SourceError
from serverless_wasm.limits import MIB
from serverless_wasm.text import printable

SIZE_LIMIT = 256 * MIB  # an interpreter compiled to WebAssembly has 20-30 MiB


def read(path: Path) -> bytes:
    """The file's bytes; raises SourceError, a sentence, when it is not a readable regular file."""
    name = printable(str(path))
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise SourceError(f"{name} is not a file")
        if facts.st_size > SIZE_LIMIT:
            raise SourceError(f"{name} has {facts.st_size} bytes, the limit is {SIZE_LIMIT}")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror}") from error
