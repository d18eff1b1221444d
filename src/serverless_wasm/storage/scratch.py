"""Scratch folders: what one invocation may write down, and nobody after it finds.

A parent folder and a limit in bytes come in; a folder goes out, which is gone with the invocation.
It must never follow a link out of a folder while it removes it, nor remove one that is in use.

Each folder is locked (flock(2)) by the descriptor that the guest uses; the system drops the lock when the
process dies, however it dies. So whatever below the parent is not locked is left over: see `sweep`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from serverless_wasm.storage.beneath import LISTED, refusal, walk
from serverless_wasm.storage.folder import Folder
from serverless_wasm.storage.handles import Handles
from serverless_wasm.storage.quota import Quota

_NAME = re.compile(r"scratch-[0-9a-f]{16}")
_PRIVATE = 0o700
_TRIES = 100
"""Another process that sweeps may be faster than we are between making a folder and locking it."""


class Scratch:
    """The scratch folder of one invocation, made when it is first asked for; removed by `close`.

    `parent` is made, too, if need be. Nobody else may be able to write there.
    """

    def __init__(self, parent: str, limit: int, handles: Handles | None = None) -> None:
        self._parent = parent
        self._handles = handles
        self._quota = Quota(limit)
        self._made: tuple[str, Folder] | None = None
        self._is_closed = False

    @property
    def folder(self) -> Folder:
        """The folder, which may hold `limit` bytes; raises OSError where it cannot be made, or is closed."""
        if self._is_closed:
            raise refusal(errno.EBADF)
        if self._made is None:
            name, descriptor = _make(self._parent)
            folder = Folder(descriptor, writable=True, quota=self._quota, handles=self._handles)
            self._made = name, folder
        return self._made[1]

    @property
    def used(self) -> int:
        """Bytes in it, ENTRY for each name among them."""
        return self._quota.used

    def close(self) -> None:
        """Removes the folder with everything in it; what cannot be removed is left to `sweep`.

        It takes as long as there are names, which the limit bounds: give it to a thread if that is large.
        """
        self._is_closed = True
        made, self._made = self._made, None
        if made is not None:
            name, folder = made
            _unlock(folder)
            with suppress(OSError):
                _remove_in(self._parent, [name])


def sweep(parent: str) -> None:
    """Removes the scratch folders below `parent` that no process uses any more; never raises OSError."""
    with suppress(OSError):
        _remove_in(parent, [path.name for path in Path(parent).iterdir() if _NAME.fullmatch(path.name)])


def _make(parent: str) -> tuple[str, int]:
    """The name of a new folder, and its descriptor, which locks it."""
    Path(parent).mkdir(_PRIVATE, parents=True, exist_ok=True)
    above = _open_parent(parent)
    try:
        for _ in range(_TRIES):
            name = f"scratch-{secrets.token_hex(8)}"
            os.mkdir(name, _PRIVATE, dir_fd=above)
            try:
                descriptor = _locked(above, name)
            except OSError:
                _discard_folder(above, name)
                raise
            if descriptor is not None:
                return name, descriptor
    finally:
        os.close(above)
    raise refusal(errno.EAGAIN)


def _open_parent(parent: str) -> int:
    """The parent's descriptor; raises OSError (EPERM) if others could put links in the place of folders."""
    descriptor = os.open(parent, LISTED)
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and not found.st_mode & 0o022:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EPERM, "a scratch parent that others may write", parent)


def _locked(above: int, name: str) -> int | None:
    """The descriptor of a folder that is now ours alone; None if it is another's, or gone."""
    with suppress(FileNotFoundError):
        descriptor = os.open(name, LISTED, dir_fd=above)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # whoever had the lock before may have removed it
            found = os.stat(name, dir_fd=above, follow_symlinks=False)
            if os.path.samestat(found, os.fstat(descriptor)):
                return descriptor
        except BlockingIOError:
            pass
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    return None


def _unlock(folder: Folder) -> None:
    """Closes a folder; a process that is being forked just now must not hold its lock any longer."""
    with suppress(OSError):  # it may be closed already
        fcntl.flock(folder.descriptor, fcntl.LOCK_UN)
    folder.close()


def _remove_in(parent: str, names: list[str]) -> None:
    above = _open_parent(parent)
    try:
        for name in names:
            with suppress(OSError):
                _remove(above, name)
    finally:
        os.close(above)


def _remove(above: int, name: str) -> None:
    """Removes a folder with everything in it, unless it is in use."""
    descriptor = _locked(above, name)
    if descriptor is None:
        return
    try:
        walk(descriptor, _discard, _discard_folder)
        _discard_folder(above, name)
    finally:
        os.close(descriptor)


def _discard(folder: int, entry: os.DirEntry[str]) -> bool:
    """Removes a file, and opens up a folder, to be removed after what is in it."""
    with suppress(OSError):
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.name, _PRIVATE, dir_fd=folder)
            return True
        os.unlink(entry.name, dir_fd=folder)
    return False


def _discard_folder(folder: int, name: str) -> None:
    with suppress(OSError):
        os.rmdir(name, dir_fd=folder)
