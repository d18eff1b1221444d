"""What processes hold of the system, counted so that a leak shows: descriptors and threads.

Process numbers come in; counts go out.
It must never count what comes and stays for a good reason, once: then nothing could be exact.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

IMAGE = "wasm-memory-image"
"""What the engine copies a module's memory from: made by its first instance, then kept."""
KERNELS = "iou-"
"""A thread that works off what uvloop asks of io_uring: one begins when the epochs' thread looks at the
poll set at the moment in which the loop changes it, and the kernel keeps it."""
CLIENTS = "tokio-"
"""A thread of obstore's: there are as many as processors, and more for as long as names are looked up."""


@dataclass(frozen=True, slots=True)
class Held:
    """What some processes hold together."""

    descriptors: int
    threads: int

    @classmethod
    def by(cls, processes: Iterable[int | str]) -> Held:
        """What they hold now."""
        folders = [Path(f"/proc/{process}") for process in processes]
        files = [path for folder in folders for path in (folder / "fd").iterdir()]
        threads = [path for folder in folders for path in (folder / "task").iterdir()]
        return cls(
            sum(IMAGE not in _target(path) for path in files),
            sum(not _name(path).startswith((KERNELS, CLIENTS)) for path in threads),
        )


def _target(descriptor: Path) -> str:
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - a Path of "pipe:[1]" is no path
    except FileNotFoundError:  # closed meanwhile, as the one that lists them is
        return IMAGE


def _name(thread: Path) -> str:
    try:
        return (thread / "comm").read_text()
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return KERNELS
