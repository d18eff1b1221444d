"""The folders that an application's guests find, and under which names.

What the operator wrote comes in; for each invocation its open folders go out.
It must never keep a folder open longer than an invocation: one that was moved or remade is found by the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from serverless_wasm.storage.folder import Folder
from serverless_wasm.storage.handles import Handles
from serverless_wasm.storage.quota import ENTRY
from serverless_wasm.storage.scratch import Scratch
from serverless_wasm.text import printable

SCRATCH = b"/tmp"  # the name that guests know, for a folder of their own


SOON = 128 * ENTRY
"""Bytes in a scratch folder, names counted, that are removed at once: a name takes up to 0.13 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of this machine, and its name for guests."""

    name: str
    path: Path
    write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounts:
    """The folders of one application.

    With `scratch` bytes each invocation has a folder of its own below `parent`, for as long as it lasts.
    All that its guests open in any of them counts among `handles`.
    """

    mounts: tuple[Mount, ...] = ()
    scratch: int | None = None
    parent: str = ""
    handles: Handles = field(default_factory=Handles)

    def open(self) -> OpenMounts:
        """Those of one invocation; raises OSError when one is not there any more."""
        opened = OpenMounts()
        try:
            for mount in self.mounts:
                folder = Folder.at(str(mount.path), writable=mount.write, handles=self.handles)
                opened.folders[mount.name.encode()] = folder
            if self.scratch is not None:
                opened.lend(Scratch(self.parent, self.scratch, self.handles))
        except OSError:
            opened.close()
            raise
        return opened

    def missing(self) -> Iterator[str]:
        """A sentence for each folder that is not there."""
        for mount in self.mounts:
            if not mount.path.is_dir():
                path = printable(str(mount.path))
                yield f"mounts: {mount.name} is {path}, which is no folder; make it, or write another path"


class OpenMounts:
    """The open folders of one invocation, by their names for the guest."""

    __slots__ = ("_scratch", "folders")

    def __init__(self) -> None:
        self.folders: dict[bytes, Folder] = {}
        self._scratch: Scratch | None = None

    def lend(self, scratch: Scratch) -> None:
        """Adds a scratch folder, which is gone with the invocation."""
        self._scratch = scratch
        self.folders[SCRATCH] = scratch.folder

    def close(self) -> None:
        """Closes them, once nobody uses them any more; a large scratch folder goes in a thread."""
        scratch, self._scratch = self._scratch, None
        if scratch is not None:
            del self.folders[SCRATCH]
            if scratch.used <= SOON:
                scratch.close()
            else:
                asyncio.get_running_loop().run_in_executor(None, scratch.close)
        while self.folders:
            self.folders.popitem()[1].close()
