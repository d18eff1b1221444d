"""A tree of a store, seen as programs see folders: files are opened, made, renamed and removed below it.

Paths of a guest's come in; open files and folders, and what is known of them, go out, once the store has
answered.
It must never reach outside of its tree. What the store does not know yet, as the invocation has it in hand
(tree_file.py), is there nevertheless. Refusals are OSError; the store's own are CapabilityError.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass

from serverless_wasm.errors import NotPermitted, TooLarge
from serverless_wasm.storage.beneath import DEPTH, refusal, require_path
from serverless_wasm.storage.files.keeper import FOLDER, LONGEST, Found, check_key
from serverless_wasm.storage.files.tree import Tree
from serverless_wasm.storage.files.tree_file import Session, TreeFile
from serverless_wasm.storage.folder import MOST_ENTRIES, Opening


@dataclass(frozen=True, slots=True)
class _Name:
    """What a path means; only a folder where it ends with a slash, or a dot."""

    key: str
    must_be_folder: bool


class TreeFolder:
    """A folder of a tree: the root, or what is below some key."""

    def __init__(self, tree: Tree, session: Session, key: str = "") -> None:
        self.tree = tree
        self.session = session
        self.key = key

    @property
    def device(self) -> int:
        """The number of its tree."""
        return self.session.device(self.tree)

    async def open(self, path: bytes, how: Opening) -> TreeFile | TreeFolder:
        """Opens a file or a folder; one that is made is in the store only once it is closed."""
        name = self._changed(path) if how.changes else self._name(path)
        found = await self._look(name.key)
        if found is not None and how.only_new:
            raise refusal(errno.EEXIST)
        if found is None:
            await self._require_creatable(name, how)
        elif found.is_folder:
            if how.changes:
                raise refusal(errno.EISDIR)
            return TreeFolder(self.tree, self.session, name.key)
        elif how.folder or name.must_be_folder:
            raise refusal(errno.ENOTDIR)
        file = TreeFile.opened(self.session, self.tree, name.key, found, only_new=how.only_new)
        if how.truncate:
            await file.resize(0)
        return file

    async def look(self, path: bytes) -> tuple[str, Found]:
        """What is there, and its key; raises OSError (ENOENT)."""
        name = self._name(path)
        return name.key, await self._existing(name)

    async def make_folder(self, path: bytes) -> None:
        """Makes a folder, which the store will know of once a file is in it."""
        name = self._changed(path)
        if await self._look(name.key) is not None:
            raise refusal(errno.EEXIST)
        await self._require_no_file_above(name.key)
        self.session.make(self.tree, name.key)

    async def remove_folder(self, path: bytes) -> None:
        """Removes a folder that is empty: one that was made, or emptied, by this invocation."""
        name = self._changed(path)
        if not (await self._existing(name)).is_folder:
            raise refusal(errno.ENOTDIR)
        if await self.tree.head(name.key):
            raise refusal(errno.ENOTEMPTY)
        self.session.unmake(self.tree, name.key)
        self.session.leave_behind(self.tree, name.key)

    async def remove(self, path: bytes) -> None:
        """Removes a file."""
        name = self._changed(path)
        found = await self._existing(name)
        if found.is_folder:
            raise refusal(errno.EISDIR)
        file = TreeFile.opened(self.session, self.tree, name.key, found)
        try:
            await file.remove()
        finally:
            file.drop()

    async def rename(self, path: bytes, other: TreeFolder, other_path: bytes) -> None:
        """Copies a file and removes it: in between it has both names. A folder is not renamed (EXDEV)."""
        name, target = self._changed(path), other._changed(other_path)
        found = await self._existing(name)
        if found.is_folder or other.tree is not self.tree:
            raise refusal(errno.EXDEV)
        if name.key == target.key:
            return
        replaced = await self._look(target.key)
        if replaced is not None and replaced.is_folder:
            raise refusal(errno.EISDIR)
        if target.must_be_folder:
            raise refusal(errno.ENOTDIR)
        if replaced is None:
            await other._require_no_file_above(target.key)
        file = TreeFile.opened(self.session, self.tree, name.key, found)
        try:
            await file.rename(target.key)
        finally:
            file.drop()

    async def names(self) -> Sequence[tuple[bytes, bool]]:
        """Every name in it, sorted, and whether it is a folder; raises OSError (ENOMEM) for too many."""
        try:
            entries = await self.tree.entries(self.key, MOST_ENTRIES)
        except TooLarge:
            raise refusal(errno.ENOMEM) from None
        found = {name: entry.is_folder for name, entry in entries if _is_name(name)}
        found |= self.session.below(self.tree, self.key)
        return [(name.encode(), is_folder) for name, is_folder in sorted(found.items())]

    async def _require_creatable(self, name: _Name, how: Opening) -> None:
        if how.folder or not how.create:
            raise refusal(errno.ENOENT)
        if name.must_be_folder:
            raise refusal(errno.EISDIR)
        await self._require_no_file_above(name.key)

    async def _require_no_file_above(self, key: str) -> None:
        """Raises OSError (ENOTDIR) where a folder would have to be that is a file.

        Folders need not be there: one from which the last file was removed is not.
        """
        while (key := key.rpartition("/")[0]) not in {"", self.key}:
            found = await self._look(key)
            if found is not None:
                if not found.is_folder:
                    raise refusal(errno.ENOTDIR)
                return

    async def _existing(self, name: _Name) -> Found:
        found = await self._look(name.key)
        if found is None:
            raise refusal(errno.ENOENT)
        if name.must_be_folder and not found.is_folder:
            raise refusal(errno.ENOTDIR)
        return found

    async def _look(self, key: str) -> Found | None:
        """What is there, for this invocation."""
        file = self.session.files.get((self.tree, key))
        if file is not None:
            return file.found
        if not key or self.session.has_folder(self.tree, key):
            return FOLDER
        return await self.tree.head(key)

    def _changed(self, path: bytes) -> _Name:
        self.session.require_writable(self.tree)
        return self._name(path)

    def _name(self, path: bytes) -> _Name:
        """`.` and `..` are resolved by name, as nothing is a link, and never to above (EPERM)."""
        require_path(path)
        words = path.decode().split("/")
        parts = self.key.split("/") if self.key else []
        floor = len(parts)
        for word in words:
            if word == "..":
                if len(parts) == floor:
                    raise refusal(errno.EPERM)
                parts.pop()
            elif word not in {"", "."}:
                parts.append(word)
        key = "/".join(parts)
        if len(key.encode()) > LONGEST or len(parts) > DEPTH:
            raise refusal(errno.ENAMETOOLONG)
        if parts and not _is_name(key):
            raise refusal(errno.EINVAL)
        return _Name(key, must_be_folder=words[-1] in {"", ".", ".."})


def _is_name(key: str) -> bool:
    """Whether there can be such a file: a name that others gave need not be one that guests may use."""
    try:
        check_key(key.encode())
    except NotPermitted:
        return False
    return True
