"""What a component has open below the folders that its application was granted, and how much of it.

An invocation comes in; its folders, and what counts what is open in them, go out.
It must never leave a file open behind its last handle, nor forget what is not in its store yet.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from serverless_wasm.abi.base import Invocation
from serverless_wasm.errors import CapabilityError, Unsaved
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.storage.files.tree_file import TreeFile
from serverless_wasm.storage.files.tree_folder import TreeFolder
from serverless_wasm.storage.folder import File, Folder

MOST = 64
"""Files and folders that one invocation may have open; each is a descriptor of the worker's, too."""
LISTINGS = 4 * 1024 * 1024
"""Bytes of listings that one invocation may have: some fifty thousand names."""

Entry = File | Folder | TreeFile | TreeFolder


class OpenFiles:
    """Those of one invocation."""

    __slots__ = ("_folders", "_invocation", "listed", "opened")

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._folders: Mapping[bytes, Folder | TreeFolder] | None = None
        self.opened = 0
        self.listed = 0
        """Bytes of listings that are held."""

    @property
    def folders(self) -> Mapping[bytes, Folder | TreeFolder]:
        """Those that were granted, by their names; raises Unavailable when one is not there any more."""
        if self._folders is None:
            self._folders = self._invocation.open_folders()
        return self._folders

    def require_room(self) -> None:
        """Raises OSError (EMFILE) when MOST are open."""
        if self.opened >= MOST:
            raise refusal(errno.EMFILE)

    def hold_listing(self, size: int) -> None:
        """Takes so many bytes, or gives them back; raises OSError (ENOMEM) without so many."""
        if self.listed + size > LISTINGS:
            raise refusal(errno.ENOMEM)
        self.listed += size

    async def tidy(self) -> None:
        """Puts what the guest has changed and dropped into its stores; raises Unsaved.

        A drop has no way to wait for that, nor to say that it failed.
        """
        session = self._invocation.session
        if session is None:
            return
        try:
            await session.tidy()
        except CapabilityError as error:
            self._invocation.tell_refusal(error)
            raise Unsaved(str(error)) from None
        except OSError as error:
            raise Unsaved(f"a file was not put into its store: {error.strerror}") from None

    def open(self, entry: Entry) -> Opened:
        """Counts it until the last who uses it gives it back."""
        self.opened += 1
        return Opened(entry, self._close)

    def _close(self, entry: Entry) -> None:
        self.opened -= 1
        if isinstance(entry, TreeFile):
            entry.leave()
        elif not isinstance(entry, TreeFolder):
            with suppress(OSError):  # a drop has nobody to tell
                entry.close()


class Opened:
    """Something open that descriptors and streams share; the one who has it made is the first of them."""

    __slots__ = ("_close", "_users", "entry")

    def __init__(self, entry: Entry, close: Callable[[Entry], None] = lambda _: None) -> None:
        self.entry = entry
        self._close = close
        self._users = 1

    def lend(self) -> Opened:
        """The same, for one more."""
        self._users += 1
        return self

    def give_back(self) -> None:
        """One less; with the last it is closed."""
        self._users -= 1
        if not self._users:
            self._close(self.entry)


async def after(before: Awaitable[None], then: Callable[[], Awaitable[Entry]]) -> Entry:
    """What `then` gives, once something else is over."""
    await before
    return await then()
