"""Files in an object store: S3, GCS, Azure, a web server, or the memory of this process.

Keys and bytes come in; objects, or a part of one, go out. It must never pass on what a store says of itself:
its words may hold what we sent, and are not for one line.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore

from serverless_wasm.errors import CapabilityError, Failed, NotPermitted, NotThere, TooLarge
from serverless_wasm.storage.files.keeper import FOLDER, Condition, Found
from serverless_wasm.storage.quota import ENTRY
from serverless_wasm.stores import Remote
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode  # they are not there at run time

_PAGE = 1000
"""Names that stores tell at once."""
_STATUS = re.compile(r"status code: (\d{3})")
_BEYOND = re.compile(r"status code: 416|Invalid range|InvalidRange")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")
_KIND = re.compile(r"kind: (Timeout|Connect)\b")


class Objects:
    """One object store as a Keeper."""

    def __init__(self, store: ObjectStore, where: Remote) -> None:
        self._store = store
        self._where = where
        self._listable = where.scheme not in {"http", "https"}

    def __str__(self) -> str:
        return printable(str(self._where))

    async def head(self, key: str) -> Found | None:
        """A folder is there as long as something is in it; a web server has none that we could see."""
        if not key:
            return FOLDER
        with self._explained():
            try:
                return self._found(await obstore.head_async(self._store, key))
            except FileNotFoundError as error:
                self._require_bucket(error)
            if self._listable:
                async for _ in self._pages(key):
                    return FOLDER
        return None

    async def read(self, key: str, offset: int, size: int) -> tuple[int, bytes]:
        """With one request, unless there is nothing to move."""
        with self._explained():
            if not size:
                return await self._length(key), b""
            try:
                got = await obstore.get_async(self._store, key, options={"range": (offset, offset + size)})
                return got.meta["size"], bytes(await got.bytes_async())
            except BaseError as error:
                # some send an empty file whole instead of saying that it has no such part
                if not (_BEYOND.search(str(error)) or isinstance(error, NotSupportedError)):
                    raise
                length = await self._length(key)
                if offset < length:
                    raise
                return length, b""

    async def _length(self, key: str) -> int:
        return (await obstore.head_async(self._store, key))["size"]

    async def write(self, key: str, data: bytes, condition: Condition) -> bool:
        """In one request, which is atomic at every provider."""
        with self._explained():
            try:
                await obstore.put_async(
                    self._store, key, data, mode=self._mode(condition), use_multipart=False
                )
            except (AlreadyExistsError, PreconditionError):
                return False
            except FileNotFoundError:
                if condition.etag is not None:  # S3 says so of an object that is gone
                    return False
                raise Failed(f"{self}: there is no such bucket or container") from None
        return True

    async def delete(self, key: str) -> bool:
        """Asks first: stores do not say whether there was something."""
        with self._explained():
            try:
                await obstore.head_async(self._store, key)
                await obstore.delete_async(self._store, key)
            except FileNotFoundError as error:
                self._require_bucket(error)
                return False
        return True

    async def entries(self, folder: str, most: int) -> list[tuple[str, Found]]:
        """The store's answer is read whole before it is counted; the time for it is bounded."""
        self._require_listable()
        with self._explained():
            listed = await obstore.list_with_delimiter_async(self._store, folder or None)
        found = {_last(path): FOLDER for path in listed["common_prefixes"] if path != folder}
        found |= {_last(meta["path"]): self._found(meta) for meta in _inside(folder, listed["objects"])}
        if len(found) > most:
            raise TooLarge(f"more than {most} names in a listing")
        return sorted(found.items())

    async def names(self, folder: str, most: int) -> list[str]:
        """Page after page; a web server cannot be listed."""
        self._require_listable()
        names: list[str] = []
        empty: list[str] = []
        with self._explained():
            async for page in self._pages(folder):
                for meta in _inside(folder, page):
                    (names if meta["size"] else empty).append(meta["path"])
                if len(names) + len(empty) > most:
                    raise TooLarge(f"more than {most} names in a listing")
        folders = _folders(names + empty) if empty else set()
        return names + [name for name in empty if name not in folders]

    async def used(self) -> int:
        """Asks for every name."""
        self._require_listable()
        total = 0
        with self._explained():
            async for page in self._pages(""):
                total += sum(ENTRY + meta["size"] for meta in _inside("", page))
        return total

    def close(self) -> None:
        """The client goes with us."""

    def _pages(self, folder: str) -> AsyncIterable[Sequence[ObjectMeta]]:
        return obstore.list(self._store, folder or None, chunk_size=_PAGE)

    def _found(self, meta: ObjectMeta) -> Found:
        modified = meta["last_modified"].timestamp()
        return Found(size=meta["size"], modified_ns=round(modified * 1e6) * 1000, etag=self._etag(meta))

    def _etag(self, meta: ObjectMeta) -> str | None:
        if self._where.scheme == "gs":
            return meta["version"]  # what GCS compares is the generation
        etag = meta["e_tag"]
        # a listing of Azure's leaves the quotes out (RFC 9110 section 8.8.3)
        return f'"{etag}"' if etag and self._where.scheme == "az" and not etag.startswith('"') else etag

    def _mode(self, condition: Condition) -> PutMode:
        if condition.new:
            return "create"
        if condition.etag is None:
            return "overwrite"
        return {"version": condition.etag} if self._where.scheme == "gs" else {"e_tag": condition.etag}

    def _require_listable(self) -> None:
        if not self._listable:
            raise NotPermitted(f"{self}: the files of a web server cannot be listed")

    def _require_bucket(self, error: FileNotFoundError) -> None:
        """A bucket that is missing is not a file that is missing."""
        if _NO_BUCKET.search(str(error)):
            raise Failed(f"{self}: there is no such bucket or container") from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever obstore raises becomes a sentence of ours."""
        try:
            yield
        except FileNotFoundError as error:
            self._require_bucket(error)
            raise NotThere(f"{self}: no such file") from None
        except (BaseError, OSError, ValueError) as error:
            raise self._sentence(error) from None

    def _sentence(self, error: Exception) -> CapabilityError:
        if isinstance(error, NotSupportedError | NotImplementedError):
            return NotPermitted(f"{self}: the store cannot do this")
        said = str(error)
        found = _STATUS.search(said)
        status = int(found[1]) if found else 0
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in {401, 403}:
            return Failed(f"{self}: the store refuses {self._credentials()}")
        if _NO_BUCKET.search(said):
            return Failed(f"{self}: there is no such bucket or container")
        if status == 507:
            return TooLarge(f"{self}: the store is full")
        if status:
            return Failed(f"{self}: the store answers {status}")
        kind = _KIND.search(said)
        if kind is None:
            return Failed(f"{self}: the request failed")
        return Failed(f"{self}: {'no answer in time' if kind[1] == 'Timeout' else 'cannot be reached'}")

    def _credentials(self) -> str:
        store = self._where.store
        if store is None:
            return "the credentials of the environment, or there are none"
        if store.anonymous:
            return f"requests without credentials, as [stores.{printable(store.name)}] has it"
        return f"the credentials of [stores.{printable(store.name)}]"


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _inside(folder: str, page: Iterable[ObjectMeta]) -> Iterator[ObjectMeta]:
    """What is below a folder: some stores list the folder itself, an empty object "folder/"."""
    return (meta for meta in page if meta["path"] != folder)


def _folders(names: Iterable[str]) -> set[str]:
    """Every folder that one of the names is in: an empty object of that name stands for the folder."""
    folders: set[str] = set()
    for name in names:
        above = name.rpartition("/")[0]
        while above and above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    return folders
