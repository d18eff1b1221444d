"""The modules of a release that are not on this machine: fetched, checked, kept.

Places come in; for each the path of its module in the cache, or the reason why there is none, goes out.
It must never let one place that fails or is slow stop the others, nor take bytes that nobody checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from serverless_wasm.errors import SourceError
from serverless_wasm.events import Emit, Event, InternalFault, ModuleFetched, Notice
from serverless_wasm.sources.kept import Entry, Kept, Part
from serverless_wasm.sources.remote import SILENCE, WHOLE, Away, Download, Known, about, cannot, open_remote
from serverless_wasm.stores import Remote
from serverless_wasm.text import printable

AT_ONCE = 8
"""Modules that are fetched at the same time."""
MAGIC = b"\0asm"

Watch = Callable[[str, int, int | None], None]
"""Is told how far a download is: the URL, the bytes so far, and how many there will be, if that is known."""


def no_emit(event: Event) -> None:
    """An Emit for those who keep no log."""


def no_watch(url: str, done: int, size: int | None) -> None:
    """A Watch for those who show nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One module from elsewhere."""

    remote: Remote
    digest: str | None
    """What it has to be: "sha256:" and 64 hexadecimal digits."""
    limit: int
    """Bytes that it may have at most."""

    @property
    def place(self) -> str:
        """What tells it from others: a URL may mean something else at another endpoint."""
        endpoint = self.remote.store.options.get("endpoint", "") if self.remote.store else ""
        return f"{self.remote.url} {endpoint}".rstrip()

    @property
    def origin(self) -> str:
        """The server, for what is said of it: one that is away for one module is away for all."""
        server = "/".join(self.remote.url.split("/", 3)[:3])
        return f"{server}{self.place.removeprefix(self.remote.url)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A module in the cache."""

    path: Path
    digest: str
    """SHA-256, in hexadecimal."""
    size: int


Result = Fetched | SourceError


class Fetcher:
    """Fetches into the cache in `folder`; what happens is told to `emit` and `watch`."""

    def __init__(self, folder: Path, emit: Emit = no_emit, watch: Watch = no_watch) -> None:
        self._kept = Kept(folder)
        self._emit = emit
        self._watch = watch

    async def fetch(self, wanted: Iterable[Wanted]) -> list[Result]:
        """What became of each, in the same order; nothing is left running when it is cancelled."""
        every = list(wanted)
        if not every:
            return []
        try:
            await asyncio.to_thread(self._kept.open)
        except SourceError as error:
            return [error] * len(every)
        room, away = asyncio.Semaphore(AT_ONCE), dict[str, str]()
        async with asyncio.TaskGroup() as tasks:
            fetching = [
                tasks.create_task(_One(self._kept, item, self._emit, self._watch).fetch(room, away))
                for item in every
            ]
        return [task.result() for task in fetching]


class _One:
    """The way of one module."""

    def __init__(self, kept: Kept, wanted: Wanted, emit: Emit, watch: Watch) -> None:
        self._kept = kept
        self._wanted = wanted
        self._emit = emit
        self._watch = watch
        self._url = wanted.remote.url

    async def fetch(self, room: asyncio.Semaphore, away: dict[str, str]) -> Result:
        """`away` holds why a server could not be asked, so that it is not asked again by all of them."""
        async with room:
            try:
                return await self._pinned() or await self._current(away)
            except SourceError as error:
                return about(self._url, error)
            except Exception as fault:  # the others must live, whatever a server has made us do
                where = f"fetch of {printable(self._url)}"
                self._emit(InternalFault(where=where, request_id="", exception=fault))
                return cannot(self._url, f"a fault of this program: {type(fault).__name__}")

    async def _pinned(self) -> Fetched | None:
        """What the file demands, if it is there: nobody needs to be asked then."""
        if self._wanted.digest is None:
            return None
        return await self._cached(self._wanted.digest.removeprefix("sha256:"), tell=True)

    async def _current(self, away: dict[str, str]) -> Fetched:
        entry = await asyncio.to_thread(self._kept.entry, self._wanted.place)
        cached = await self._cached(entry.digest) if entry else None
        known = (
            Known(digest=entry.digest, validator=entry.validator)
            if cached and entry and entry.validator
            else None
        )
        origin = self._wanted.origin
        try:
            if origin in away:
                raise Away(away[origin])
            return await self._asked(known) or await self._told(cached)
        except Away as reason:
            if reason.server:
                away.setdefault(origin, str(reason))
            if cached is None:
                raise cannot(self._url, str(reason)) from None
            self._require(cached.digest)
            told = f"{cannot(self._url, str(reason))}; the copy in the cache is used, sha256:{cached.digest}"
            self._emit(Notice(message=told))
            return cached

    async def _asked(self, known: Known | None) -> Fetched | None:
        """What the place has now; None when that is what is known."""
        try:
            async with asyncio.timeout(WHOLE), open_remote(self._wanted.remote, known) as download:
                return None if download is None else await self._received(download)
        except TimeoutError:
            raise Away(f"it takes longer than {WHOLE:g} s") from None
        except OSError as error:
            raise cannot(self._url, f"the cache does not take it: {error.strerror}") from None

    async def _told(self, cached: Fetched | None) -> Fetched:
        """The copy that the server has just said to be right."""
        if cached is None:
            raise cannot(self._url, "the server says that nothing has changed, without being asked")
        self._require(cached.digest)
        self._emit(self._event(cached, from_cache=True))
        return cached

    async def _received(self, download: Download) -> Fetched:
        if download.digest:
            self._require(download.digest)
            if cached := await self._cached(download.digest):  # another place had it, too
                await asyncio.to_thread(self._note, download, cached.digest)
                return await self._told(cached)
        self._require_size(download.size or 0)
        part = self._kept.part()  # not in a thread: one that is not waited for any more would leave it there
        try:
            size = await self._write(download, part)
            fetched = Fetched(path=self._kept.path(part.digest), digest=part.digest, size=size)
            await asyncio.to_thread(self._finish, part, download)
        finally:
            part.discard()
        self._emit(self._event(fetched, from_cache=False))
        return fetched

    async def _write(self, download: Download, part: Part) -> int:
        size, head = 0, b""
        async with aclosing(_patient(download)) as pieces:
            async for piece in pieces:
                size += len(piece)
                self._require_size(size)
                if len(head) < len(MAGIC):
                    head = (head + piece)[: len(MAGIC)]
                    self._require_magic(head, whole=False)
                part.write(piece)
                self._watch(self._url, size, download.size)
        self._require_magic(head, whole=True)
        if download.size is not None and size != download.size:
            raise Away(f"only {size} of {download.size} bytes came")
        if download.digest and part.digest != download.digest:
            raise cannot(self._url, f"the server sent sha256:{part.digest} for sha256:{download.digest}")
        self._require(part.digest)
        return size

    def _finish(self, part: Part, download: Download) -> None:
        part.finish(self._kept.path(part.digest))
        self._note(download, part.digest)

    def _note(self, download: Download, digest: str) -> None:
        entry = Entry(place=self._wanted.place, digest=digest, validator=download.validator)
        self._kept.note(entry)

    async def _cached(self, digest: str, *, tell: bool = False) -> Fetched | None:
        size = await asyncio.to_thread(self._kept.size, digest)
        if size is None:
            return None
        fetched = Fetched(path=self._kept.path(digest), digest=digest, size=size)
        if tell:
            self._emit(self._event(fetched, from_cache=True))
        return fetched

    def _event(self, fetched: Fetched, *, from_cache: bool) -> ModuleFetched:
        digest = f"sha256:{fetched.digest}"
        url = printable(self._url)
        return ModuleFetched(url=url, digest=digest, size=fetched.size, from_cache=from_cache)

    def _require(self, digest: str) -> None:
        if self._wanted.digest and self._wanted.digest != f"sha256:{digest}":
            name, wanted = printable(self._url), self._wanted.digest
            raise SourceError(f"{name} has digest sha256:{digest}, not {wanted} as the file says")

    def _require_size(self, size: int) -> None:
        if size > self._wanted.limit:
            raise cannot(self._url, f"it has more than {self._wanted.limit} bytes, which is module_size")

    def _require_magic(self, head: bytes, *, whole: bool) -> None:
        if not MAGIC.startswith(head) or (whole and head != MAGIC):
            begins = f"it begins with {printable(head)}" if head else "it is empty"
            raise cannot(self._url, f"it is not WebAssembly: {begins}")


async def _patient(download: Download) -> AsyncGenerator[bytes, None]:
    """The pieces; raises Away when none comes for a while."""
    async with aclosing(download.pieces) as pieces:
        while True:
            try:
                async with asyncio.timeout(SILENCE):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise Away(f"the server says nothing for {SILENCE:g} s") from None
            yield piece
