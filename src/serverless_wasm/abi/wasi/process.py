"""One run of a WASI command: what it was started with, and what it has open.

An invocation's grants come in; the object that all calls work on goes out.
It must never outlive its invocation: `close` frees every file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from serverless_wasm.abi.wasi.clocks import QUANTUM, Clocks
from serverless_wasm.abi.wasi.descriptors import (
    Descriptor,
    Descriptors,
    OpenFolder,
    OpenTree,
    Output,
)
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import Folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder and the name under which a guest finds it."""

    name: bytes
    folder: Folder | TreeFolder

    def opened(self) -> OpenFolder | OpenTree:
        """What its descriptor stands for."""
        if isinstance(self.folder, TreeFolder):
            return OpenTree(self.folder, self.name)
        return OpenFolder(self.folder, self.name)


class Process:
    """The state of one command; its streams have the first numbers, its mounts those after them.

    An argument, or a variable `NAME=value`, must have no NUL: a guest takes it for the end.
    """

    __slots__ = ("_targets", "arguments", "clocks", "descriptors", "environment")

    def __init__(
        self,
        streams: Sequence[Descriptor],
        mounts: Sequence[Mount] = (),
        *,
        arguments: Sequence[bytes] = (),
        environment: Sequence[bytes] = (),
        quantum: int = QUANTUM,
    ) -> None:
        self.arguments = tuple(arguments)
        self.environment = tuple(environment)
        self.clocks = Clocks(quantum)
        self._targets = [stream.target for stream in streams if isinstance(stream, Output)]
        self.descriptors = Descriptors([*streams, *(mount.opened() for mount in mounts)])

    def flush(self) -> None:
        """Hands on what was written to standard output: the guest is about to wait."""
        for target in self._targets:
            target.flush()

    def close(self) -> None:
        """Closes what the command left open; the folders of its mounts are somebody else's."""
        self.descriptors.close_all()
