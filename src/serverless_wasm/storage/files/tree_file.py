"""Files of stores as one invocation has them open: read piece by piece, changed in memory, stored whole.

Pieces that a program reads and writes come in; requests to the store, and bytes, go out.
It must never hold more than the invocation may, nor put a part of a file in the store: a file goes there when
it is synchronised or closed, or its program ends well. Refusals are OSError; the store's are CapabilityError.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable

from serverless_wasm.errors import CapabilityError, NotPermitted, NotThere, TooLarge
from serverless_wasm.storage.beneath import refusal
from serverless_wasm.storage.files.keeper import ANY, NEW, Condition, Found
from serverless_wasm.storage.files.tree import Tree
from serverless_wasm.storage.folder import MOST_BYTES

_AHEAD = 64 * 1024
"""Bytes that are asked for at least, and kept for the next call: programs read in small pieces."""
MOST_FOLDERS = 1024
"""Folders that are remembered of which the store knows nothing."""


class Session:
    """What one invocation has open and made in its trees; it may hold `most` bytes of what it changes.

    `tell` is told why the operator's word refuses something.
    """

    def __init__(self, most: int, tell: Callable[[CapabilityError], None]) -> None:
        self.left = most
        self.files: dict[tuple[Tree, str], TreeFile] = {}
        """Those that are open and have a name, each once."""
        self._most = most
        self._tell = tell
        self._made: set[tuple[Tree, str]] = set()
        self._devices: dict[Tree, int] = {}
        self._left: list[TreeFile] = []

    @property
    def is_dirty(self) -> bool:
        """Whether anything was changed that is not in its store."""
        return any(file.is_dirty for file in self.files.values())

    async def finish(self) -> None:
        """Puts every file that is still open into its store; raises what the first could not be put for."""
        await self.tidy()
        for file in list(self.files.values()):
            await file.sync()

    async def tidy(self) -> None:
        """The same of those that their program has given up (`TreeFile.leave`), which are closed then."""
        while self._left:
            await self._left.pop(0).close()

    def leave(self, file: TreeFile) -> None:
        """Has a file that nobody uses any more wait for `tidy`."""
        self._left.append(file)

    def hold(self, size: int) -> None:
        """Takes so many bytes, or gives them back; raises OSError (EFBIG) without so many."""
        if size > self.left:
            self._tell(TooLarge(f"more than {self._most} bytes of files are being written; see file_size"))
            raise refusal(errno.EFBIG)
        self.left -= size

    def require_writable(self, tree: Tree) -> None:
        """Raises OSError (EROFS) for a tree that is only read."""
        if not tree.writable:
            self._tell(NotPermitted(f"{tree} may only be read; the operator can write: write = true"))
            raise refusal(errno.EROFS)

    def device(self, tree: Tree) -> int:
        """A number of its own for each tree, and another one than a disk has."""
        return self._devices.setdefault(tree, 2**63 + len(self._devices))

    def make(self, tree: Tree, key: str) -> None:
        """Remembers a folder that is to be there with nothing in it; raises OSError (EDQUOT) for too many."""
        if len(self._made) >= MOST_FOLDERS:
            self._tell(TooLarge(f"more than {MOST_FOLDERS} folders of {tree} with nothing in them"))
            raise refusal(errno.EDQUOT)
        self._made.add((tree, key))

    def leave_behind(self, tree: Tree, key: str) -> None:
        """Remembers the folder of what is about to be removed, which may be the last that is in it."""
        folder = key.rpartition("/")[0]
        if folder and len(self._made) < MOST_FOLDERS:
            self._made.add((tree, folder))

    def unmake(self, tree: Tree, key: str) -> None:
        """Forgets a folder; raises OSError (ENOTEMPTY) for one that is not empty, or never was remembered."""
        if (tree, key) not in self._made or self.below(tree, key):
            raise refusal(errno.ENOTEMPTY)
        self._made.discard((tree, key))

    def has_folder(self, tree: Tree, key: str) -> bool:
        """Whether there is such a folder, whatever the store knows of it."""
        return (tree, key) in self._made or bool(self.below(tree, key))

    def below(self, tree: Tree, folder: str) -> dict[str, bool]:
        """Names in a folder that are open or were made, and whether they are folders."""
        above = f"{folder}/" if folder else ""
        found: dict[str, bool] = {}
        for keys, is_folder in ((self.files, False), (self._made, True)):
            for of, key in keys:
                if of is tree and key.startswith(above):
                    name, _, rest = key[len(above) :].partition("/")
                    found[name] = is_folder or bool(rest)
        return found


class TreeFile:
    """A file that is open: once for all descriptors, so that each sees what another writes."""

    def __init__(self, session: Session, tree: Tree, key: str, found: Found | None) -> None:
        self.tree = tree
        self.key = key
        self.modified_ns = time.time_ns() if found is None else found.modified_ns
        """Since 1970."""
        self._session = session
        self._stored = 0 if found is None else found.size
        self._content = bytearray() if found is None else None
        self._dirty = found is None
        self._condition: Condition = ANY
        self._ahead = (0, b"")
        self._users = 0

    @classmethod
    def opened(
        cls, session: Session, tree: Tree, key: str, found: Found | None, *, only_new: bool = False
    ) -> TreeFile:
        """That of the session, or another one; `only_new` if nobody else may have made it by then."""
        file = session.files.get((tree, key))
        if file is None:
            file = session.files[tree, key] = cls(session, tree, key, found)
            file._condition = NEW if only_new else ANY
        file._users += 1
        return file

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self._stored if self._content is None else len(self._content)

    @property
    def found(self) -> Found:
        """What is known of it."""
        return Found(size=self.size, modified_ns=self.modified_ns)

    @property
    def device(self) -> int:
        """The number of its tree."""
        return self._session.device(self.tree)

    @property
    def is_dirty(self) -> bool:
        """Whether it was changed, and is not in the store so."""
        return self._dirty and self._named

    @property
    def _named(self) -> bool:
        """Whether it was not removed."""
        return self._session.files.get((self.tree, self.key)) is self

    async def read_at(self, count: int, offset: int) -> bytes:
        """Up to so many bytes from there, MOST_BYTES at once; none at the end."""
        count = min(count, MOST_BYTES, self.size - offset)
        if count <= 0:
            return b""
        if self._content is not None:
            return bytes(self._content[offset : offset + count])
        start, data = self._ahead
        if not (start <= offset and offset + count <= start + len(data)):
            start, data = offset, await self._read(offset, max(count, _AHEAD))
            # what is larger is not likely to be asked for again, and nobody counts what is kept here
            self._ahead = (start, data) if len(data) <= _AHEAD else (0, b"")
        return data[offset - start : offset - start + count]

    async def write_at(self, data: bytes, offset: int) -> int:
        """Writes there; returns how much of it, which is all."""
        if not data:
            return 0
        await self.fetch()
        return self.put_at(data, offset)

    async def fetch(self) -> None:
        """Has all of it in memory, so that `put_at` need not wait."""
        await self._changeable()

    def put_at(self, data: bytes, offset: int) -> int:
        """As `write_at`; raises OSError (EBADF) unless it was fetched."""
        content = self._content
        if content is None:
            raise refusal(errno.EBADF)
        longer = max(offset + len(data) - len(content), 0)
        self._session.hold(longer)
        content.extend(bytes(longer))
        content[offset : offset + len(data)] = data
        self._changed()
        return len(data)

    async def append(self, data: bytes) -> int:
        """Writes at the end; returns how much of it, which is all."""
        return await self.write_at(data, self.size)

    async def resize(self, size: int) -> None:
        """Cuts it, or adds zeros; what is cut off is not asked for."""
        content = await self._changeable(size)
        longer = size - len(content)
        self._session.hold(longer)
        if longer >= 0:
            content.extend(bytes(longer))
        else:
            del content[size:]
        self._changed()

    async def sync(self) -> None:
        """Returns once the store has it, unless it was removed.

        Raises OSError (EEXIST) if it was to be new, and somebody else has made it since it was opened.
        """
        if self.is_dirty and self._content is not None:
            if not await self.tree.write(self.key, bytes(self._content), self._condition):
                raise refusal(errno.EEXIST)
            self._dirty, self._condition = False, ANY

    async def rename(self, key: str) -> None:
        """Copies it and removes what was there: in between it has both names."""
        content = await self._changeable()
        await self.tree.write(key, bytes(content))
        self._session.files.pop((self.tree, key), None)
        await self.remove()
        self._dirty, self._condition = False, ANY
        self.key = key
        self._session.files[self.tree, key] = self

    async def remove(self) -> None:
        """Takes its name away; what was read of it by then is all that can be read."""
        await self.tree.delete(self.key)
        self._session.leave_behind(self.tree, self.key)
        self._session.files.pop((self.tree, self.key), None)

    async def close(self) -> None:
        """Puts it into the store if it was changed, and gives it up, also if that fails."""
        try:
            await self.sync()
        finally:
            self.drop()

    def leave(self) -> None:
        """Gives it up, and leaves to the session what is not in the store."""
        if self._users == 1 and self.is_dirty:
            self._session.leave(self)
        else:
            self.drop()

    def drop(self) -> None:
        """Gives it up; with the last descriptor goes what is not in the store."""
        self._users -= 1
        if not self._users:
            if self._named:
                del self._session.files[self.tree, self.key]
            self._session.hold(-len(self._content or b""))
            self._content, self._dirty = None, False

    def _changed(self) -> None:
        self._dirty = True
        self.modified_ns = time.time_ns()

    async def _changeable(self, most: int | None = None) -> bytearray:
        """All of it, or so much, in memory."""
        if self._content is None:
            size = self._stored if most is None else min(most, self._stored)
            self._session.hold(size)
            try:
                self._content = bytearray(await self._read(0, size) if size else b"")
            except BaseException:
                self._session.hold(-size)
                raise
        return self._content

    async def _read(self, offset: int, size: int) -> bytes:
        """From the store; raises OSError (ESTALE) if it is not the file any more that was opened."""
        if not self._named:  # its name may be that of another one by now
            raise refusal(errno.ESTALE)
        try:
            whole, data = await self.tree.read(self.key, offset, size)
        except NotThere:
            raise refusal(errno.ESTALE) from None
        if whole != self._stored or len(data) != min(size, whole - offset):
            raise refusal(errno.ESTALE)
        return data
