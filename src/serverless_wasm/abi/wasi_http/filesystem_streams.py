"""Streams of files: what an input stream reads from, and what an output stream writes to.

An open file and a place in it come in; bytes go to and fro, from there on.
A failure must be known as one of files (filesystem-error-code), and a store never be waited for in a drop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from serverless_wasm.abi.wasi_http.filesystem_open import Opened
from serverless_wasm.abi.wasi_http.filesystem_types import FileFailure
from serverless_wasm.abi.wasi_http.streams import CHUNK, InputStream, OutputStream
from serverless_wasm.errors import CapabilityError
from serverless_wasm.storage.files.tree_file import TreeFile
from serverless_wasm.storage.folder import File


class LocalSource:
    """A Source on a file of this machine."""

    ready = CHUNK

    def __init__(self, file: File, offset: int) -> None:
        self._file = file
        self._offset = offset

    def take(self, most: int) -> bytes:
        """The next bytes, none at the end."""
        data: bytes = _done(self._file.read_at, most, self._offset)
        self._offset += len(data)
        return data

    async def arrive(self) -> None:
        """Nothing has to arrive."""


class StoredSource:
    """A Source on a file of a store: a chunk is asked for when it is waited for."""

    def __init__(self, file: TreeFile, offset: int, tell: Callable[[CapabilityError], None]) -> None:
        self._file = file
        self._offset = offset
        self._tell = tell
        self._chunk: bytes | None = None

    @property
    def ready(self) -> int | None:
        """Bytes of the chunk that is here, 0 at the end; None when one has to wait for it."""
        return None if self._chunk is None else len(self._chunk)

    def take(self, most: int) -> bytes | None:
        """The next bytes, none at the end; None when one has to wait for them."""
        if not self._chunk:
            return self._chunk
        data, rest = self._chunk[:most], self._chunk[most:]
        self._offset += len(data)
        self._chunk = rest or None
        return data

    async def arrive(self) -> None:
        """Reads the next chunk; may be begun again, or twice, as only what is still awaited is kept."""
        offset = self._offset
        try:
            chunk = await self._file.read_at(CHUNK, offset)
        except OSError as error:
            raise _failure(error) from None
        except CapabilityError as error:
            self._tell(error)
            raise FileFailure(None, "the store has failed") from None
        if self._chunk is None and offset == self._offset:
            self._chunk = chunk


class FileTarget:
    """A Target on a file of either kind; one of a store is in memory as a whole by then."""

    left = CHUNK

    def __init__(self, file: File | TreeFile, offset: int | None) -> None:
        self._file = file
        self._offset = offset
        """Where the next byte goes; None for the end, wherever that is by then."""

    def put(self, data: bytes) -> int:
        """Takes all of it."""
        rest = data
        while rest:
            written = self._write(rest)
            rest = rest[written:]
            if self._offset is not None:
                self._offset += written
        return len(data)

    def flush(self) -> None:
        """Whoever reads the file sees what was written."""

    async def room(self) -> None:
        """There is."""

    def _write(self, data: bytes) -> int:
        file, offset = self._file, self._offset
        written: int
        if isinstance(file, TreeFile):
            written = _done(file.put_at, data, file.size if offset is None else offset)
        elif offset is None:
            written = _done(file.append, data)
        else:
            written = _done(file.write_at, data, offset)
        return written


class FileInput(InputStream):
    """An input stream that has its file open, whatever becomes of the descriptor."""

    __slots__ = ("_opened",)

    def __init__(self, source: LocalSource | StoredSource, opened: Opened) -> None:
        super().__init__(source)
        self._opened = opened.lend()

    def drop(self) -> None:
        """Gives the file back."""
        self._opened.give_back()


class FileOutput(OutputStream):
    """The same of an output stream."""

    __slots__ = ("_opened",)

    def __init__(self, target: FileTarget, opened: Opened) -> None:
        super().__init__(target)
        self._opened = opened.lend()

    def drop(self) -> None:
        """Gives the file back."""
        self._opened.give_back()


def _done(work: Callable[..., Any], *arguments: object) -> Any:
    try:
        return work(*arguments)
    except OSError as error:
        raise _failure(error) from None


def _failure(error: OSError) -> FileFailure:
    return FileFailure(error.errno, error.strerror)
