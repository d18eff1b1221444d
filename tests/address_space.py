"""An address space that an engine of many guests does not fit into, wherever this process is by now."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIB = 1 << 40


@contextmanager
def little_address_space() -> Iterator[None]:
    """Leaves this process 1 TiB more than it has: room for its guests, none for two thousand others."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + TIB, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
