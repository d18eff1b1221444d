"""The cache of modules that came from elsewhere: verified whenever they are used.

The bytes of a download come in; the path of a module whose digest was checked goes out.
It must never hand out bytes that are not what they were, nor show half of a module under its name.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from time import time
from typing import Any

from serverless_wasm.errors import SourceError
from serverless_wasm.sources import local

_PART = "part-"
_ABANDONED = 3600.0
"""Seconds after which nobody writes a part any more; a download takes a quarter of that at most."""
_UNUSED = 30 * 86_400.0
"""Seconds for which a module that no place has any more is kept, for whoever goes back to it."""
_FORGOTTEN = 365 * 86_400.0
"""Seconds after which a place that nobody asked for is forgotten."""
_ENTRY_LIMIT = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a place had when it was asked last."""

    place: str
    digest: str
    """SHA-256 of the module, in hexadecimal."""
    validator: str
    """As remote.Known has it; empty if the server gives none."""


class Kept:
    """A folder of modules by digest, and of what each place had; any process of this user may open the same.

    All methods block. The folder's parent must be ours alone, as that of compiled modules is.
    """

    def __init__(self, folder: Path) -> None:
        self._modules = folder / "modules"
        self._places = folder / "places"

    def open(self) -> None:
        """Makes the folders and removes what nobody needs; raises SourceError when they cannot be made."""
        try:
            for folder in (self._modules, self._places):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SourceError(f"{self._modules} cannot be used: {error.strerror}") from None
        self._sweep()

    def path(self, digest: str) -> Path:
        """Where the module of a digest is, if it is there."""
        return self._modules / f"{digest}.wasm"

    def size(self, digest: str) -> int | None:
        """How many bytes the module has, after they were checked; None without it, or when it is damaged."""
        path = self.path(digest)
        try:
            with path.open("rb") as file:
                right = hashlib.file_digest(file, "sha256").hexdigest() == digest
                size = file.tell()
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path) if right else path.unlink()
        return size if right else None

    def entry(self, place: str) -> Entry | None:
        """What a place had last; None for one that nobody asked, or when what is there is no entry."""
        path = self._entry_path(place)
        try:
            with path.open("rb") as file:
                entry = Entry(**_texts(json.loads(file.read(_ENTRY_LIMIT))))
            os.utime(path)
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        return entry if entry.place == place else None

    def note(self, entry: Entry) -> None:
        """Keeps what a place has now; raises OSError."""
        part = Part(self._places)
        part.write(json.dumps(asdict(entry)).encode())
        part.finish(self._entry_path(entry.place))

    def part(self) -> Part:
        """A new module, to be written; raises OSError."""
        return Part(self._modules)

    def _entry_path(self, place: str) -> Path:
        return self._places / f"{hashlib.sha256(place.encode()).hexdigest()}.json"

    def _sweep(self) -> None:
        now = time()
        for folder in (self._modules, self._places):
            _remove(folder.glob(f"{_PART}*"), now - _ABANDONED)
        _remove(self._places.glob("*.json"), now - _FORGOTTEN)
        old = [path for path in self._modules.glob("*.wasm") if _is_older(path, now - _UNUSED)]
        if old:
            wanted = {digest for path in self._places.glob("*.json") if (digest := _digest_in(path))}
            _remove((path for path in old if path.stem not in wanted), now - _UNUSED)


class Part:
    """A file that has no name yet: whoever reads there sees all of it, or nothing."""

    def __init__(self, folder: Path) -> None:
        number, name = tempfile.mkstemp(prefix=f"{_PART}{os.getpid()}-", dir=folder)  # mode 0600
        self._path = Path(name)
        self._file = os.fdopen(number, "wb")
        self._hash = hashlib.sha256()
        self._finishing = False

    @property
    def digest(self) -> str:
        """Of what was written so far."""
        return self._hash.hexdigest()

    def write(self, piece: bytes) -> None:
        """Appends; raises OSError."""
        self._hash.update(piece)
        self._file.write(piece)

    def finish(self, path: Path) -> None:
        """Gives the file its name, after the disk has it; raises OSError, and then nothing is left."""
        self._finishing = True
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._path.replace(path)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise

    def discard(self) -> None:
        """Removes what was not finished; a thread that is about to finish it is left alone."""
        if not self._finishing:
            with suppress(OSError):  # a full disk, once more
                self._file.close()
            self._path.unlink(missing_ok=True)


def read(path: Path, digest: str) -> bytes:
    """The bytes of a module that was kept; raises SourceError when they are no longer what they were."""
    data = local.read(path)
    if hashlib.sha256(data).hexdigest() != digest:
        raise SourceError(f"{path} was changed after it had been fetched")
    return data


def _texts(fields: Any) -> dict[str, str]:
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise ValueError("not an entry")
    return fields


def _digest_in(path: Path) -> str | None:
    try:
        return _texts(json.loads(path.read_bytes()[:_ENTRY_LIMIT])).get("digest")
    except (OSError, ValueError, RecursionError):
        return None


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except OSError:  # another process sweeps, too
        return False


def _remove(paths: Any, before: float) -> None:
    for path in paths:
        if _is_older(path, before):
            with suppress(OSError):
                path.unlink()
