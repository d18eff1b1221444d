"""Files for guests: one face over disks and object stores.

The places that the operator wrote come in, and paths of guests; bytes and names go out. It must never reach
a file outside of the places of its application.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from weakref import WeakSet

from serverless_wasm.errors import NotPermitted, TooLarge
from serverless_wasm.limits import Limits
from serverless_wasm.storage.files.disk import Disk
from serverless_wasm.storage.files.keeper import LONGEST, Keeper, check_key
from serverless_wasm.storage.files.objects import Objects
from serverless_wasm.storage.files.room import Room
from serverless_wasm.storage.files.tree import Tree
from serverless_wasm.stores import Patience, Remote, open_objects
from serverless_wasm.text import printable

_READ_ONLY = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One entry of `files`: a name that guests know, and where its files are."""

    name: str
    where: Path | Remote
    write: bool = False
    quota: int | None = None
    """Bytes that may be kept there, each file counting 4 KiB more; None for as many as there is room for."""

    def mistake(self) -> str | None:
        """What cannot be, as a sentence for the operator."""
        if self.write and isinstance(self.where, Remote) and self.where.scheme in _READ_ONLY:
            return "a web server is only read; remove write"
        return None


class FileStores:
    """The places of all applications of a process; what lies at one URL is opened once.

    It is closed when no application has it any more. What `memory://` keeps is shared by all that write the
    same URL, and is gone then.
    """

    def __init__(self) -> None:
        self._opened: WeakSet[_Opened] = WeakSet()

    def for_application(self, places: tuple[Place, ...], limits: Limits) -> Files:
        """The files of one application; nothing is asked of a store yet.

        Raises ValueError, a sentence, for a place that cannot be opened whatever happens.
        """
        trees, opened = {}, []
        for place in places:
            if (mistake := place.mistake()) is not None:
                raise ValueError(f"files: {place.name}: {mistake}")
            opened.append(self._open(place, limits.store_timeout))
            tree = Tree(opened[-1].room, limits, write=place.write, quota=place.quota)
            trees[place.name.encode()] = tree
        return Files(trees, tuple(opened))

    def close(self) -> None:
        """Closes every place; calls that are under way end as they can, later ones fail."""
        while self._opened:
            self._opened.pop().room.close()

    def _open(self, place: Place, timeout: float) -> _Opened:
        if isinstance(place.where, Path) or place.where.scheme == "memory":
            timeout = 0  # no client has to know
        for opened in self._opened:
            if (opened.where, opened.timeout) == (place.where, timeout):
                return opened
        try:
            opened = _Opened(place.where, timeout)
        except ValueError as error:
            raise ValueError(f"files: {place.name}: {error}") from None
        self._opened.add(opened)
        return opened


class _Opened:
    """What lies at one URL, open for as long as an application has it."""

    def __init__(self, where: Path | Remote, timeout: float) -> None:
        self.where = where
        self.timeout = timeout
        self.room = Room(_keeper(where, timeout))


def _keeper(where: Path | Remote, timeout: float) -> Keeper:
    if isinstance(where, Path):
        return Disk(where)
    patience = Patience(connect=min(Patience().connect, timeout), request=timeout)
    return Objects(open_objects(where, patience), where)


class Files:
    """What one application may reach, by the paths of its guests; of two places the longer name counts.

    Everything may raise NotPermitted, TooLarge and Failed, with a sentence for the log.
    """

    def __init__(self, trees: Mapping[bytes, Tree], opened: tuple[_Opened, ...] = ()) -> None:
        self.trees = MappingProxyType(dict(trees))
        self._opened = opened

    async def get(self, path: bytes, offset: int, size: int) -> tuple[int, bytes]:
        """The length of a file, and up to `size` bytes of it from `offset`; raises NotThere."""
        tree, key = self._at(path)
        return await tree.read(key, offset, size)

    async def put(self, path: bytes, data: bytes) -> None:
        """Puts a file there, whole or not at all, in place of what is there."""
        tree, key = self._at(path)
        await tree.write(key, data)

    async def delete(self, path: bytes) -> None:
        """Removes a file; one that is not there is no mistake."""
        tree, key = self._at(path)
        await tree.delete(key)

    async def list(self, prefix: bytes, most_bytes: int) -> list[str]:
        """The paths of all files that begin with `prefix`, sorted.

        Raises TooLarge when they are more than `most_bytes`, each with a line's end. A web server is passed
        over, unless the prefix names it.
        """
        _check_prefix(prefix)
        found: list[str] = []
        for name in self.trees:
            found += await self._names(name, prefix)
        size = sum(len(path.encode()) + 1 for path in found)
        if size > most_bytes:
            raise TooLarge(f"the names take {size} bytes; there is room for {most_bytes}")
        return sorted(found)

    async def _names(self, name: bytes, prefix: bytes) -> Sequence[str]:
        """Those in one place that guests can reach."""
        root, tree = _root(name), self.trees[name]
        if not (prefix.startswith(root) or root.startswith(prefix)):
            return []
        try:
            keys = await tree.names(prefix[len(root) :].decode())
        except NotPermitted:
            if prefix.startswith(root):
                raise
            return []
        paths = [root.decode() + key for key in keys]
        return [path for path in paths if self._reaches(path.encode(), tree)]

    def _reaches(self, path: bytes, tree: Tree) -> bool:
        try:
            return self._at(path)[0] is tree
        except NotPermitted:
            return False

    def _at(self, path: bytes) -> tuple[Tree, str]:
        """The place of a path, and its key there; raises NotPermitted."""
        if not path.startswith(b"/") or len(path) > LONGEST:
            raise NotPermitted(f"not a path for guests: {printable(path)}")
        check_key(path[1:])
        root = max(
            (_root(name) for name in self.trees if path.startswith(_root(name))), key=len, default=None
        )
        if root is None:
            raise NotPermitted(f"no place of this application has {printable(path)}")
        return self.trees[root.rstrip(b"/") or b"/"], path[len(root) :].decode()


def _root(name: bytes) -> bytes:
    """How the paths in a place begin."""
    return name.rstrip(b"/") + b"/"


def _check_prefix(prefix: bytes) -> None:
    """A path that may end anywhere; raises NotPermitted."""
    folders, _, last = prefix.rpartition(b"/")
    if not prefix.startswith(b"/") or len(prefix) > LONGEST:
        raise NotPermitted(f"a path of guests begins with a slash: {printable(prefix)}")
    if folders:
        check_key(folders[1:])
    if last not in {b"", b".", b".."}:
        check_key(last)
