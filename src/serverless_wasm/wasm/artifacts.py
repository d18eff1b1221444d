"""Compiled modules on disk: what the compiler makes, for any number of processes that run it.

Native code and the facts of a module go in under one keyed checksum; both come out, or nothing.
It must never load the engine, nor hand out native code that this user did not write itself.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import platform
import secrets
import shutil
import struct
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from io import FileIO
from pathlib import Path
from time import time
from typing import Any

from serverless_wasm.errors import EngineError
from serverless_wasm.events import Emit, Notice
from serverless_wasm.wasm.binary import Beginning

FORMAT = 4
"""To be raised when an entry, or a setting of the engine that changes code (wasm/engine.py), changes."""
KEY_SIZE = 32
ABANDONED = 3600.0
"""Seconds after which nobody is still writing a file: that takes a few at most."""
_MAC_SIZE = 32
_HEADER = struct.Struct("!II")
"""Behind the checksum: how many bytes the facts have, and how many the shape; then both, then the code."""
_PART = "part-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A compiled module without its code: all that there is to know of its bytes once they are gone."""

    digest: str
    """SHA-256 of the bytes as given, in hexadecimal."""
    begins: Beginning
    imports_memory: bool
    """Whether the bytes import `env.memory`, which was made the module's own (binary.own_memory)."""
    parts: tuple[str, ...] | None = None
    """The digests of a component's modules; None for a core module."""

    def facts(self) -> dict[str, Any]:
        """The same as plain data; `from_facts` reads them."""
        return {
            "digest": self.digest,
            "memory": self.begins.memory,
            "table_elements": self.begins.table_elements,
            "imports_memory": self.imports_memory,
            "parts": None if self.parts is None else list(self.parts),
        }

    @classmethod
    def from_facts(cls, facts: Any) -> Artifact:
        """Raises ValueError unless they are what `facts` gives, with nothing of another type."""
        match facts:
            case {
                "digest": str(digest),
                "memory": int(memory),
                "table_elements": int(elements),
                "imports_memory": bool(imports_memory),
                "parts": None | [*_] as parts,
            } if all(isinstance(part, str) for part in parts or ()):
                begins = Beginning(memory, elements)
                return cls(
                    digest=digest,
                    begins=begins,
                    imports_memory=imports_memory,
                    parts=None if parts is None else tuple(parts),
                )
        raise ValueError("not the facts of a module")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A compiled module as the cache keeps it."""

    artifact: Artifact
    shape: bytes
    """What it imports and exports, as wasm/modules.py writes it; empty when that is too long to be kept."""
    code: bytes
    """The engine's, for this machine's processor."""


def digest_of(data: bytes) -> str:
    """What a module's bytes are known by."""
    return hashlib.sha256(data).hexdigest()


class Cache:
    """A folder of compiled modules; any process of this user may open the same one.

    Native code is run as it is, so the folder must be ours alone: EngineError says what to change
    otherwise. An entry that was changed, cut or put under another name is as good as none. What the folder
    does not take any more, because its disk is full or read-only, goes to a spare one in memory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._maker = f"{FORMAT} wasmtime {version('wasmtime')} {_processor()}"
        self._suffixes = {fuel: _suffix(self._maker, fuel=fuel) for fuel in (False, True)}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = folder.stat()
            if facts.st_uid != os.geteuid():
                raise EngineError(f"{folder} belongs to another user; write: chown {os.geteuid()} {folder}")
            if facts.st_mode & 0o022:
                raise EngineError(f"{folder} can be written by others; write: chmod 700 {folder}")
            self._key = self._open_key()
        except OSError as error:
            raise EngineError(f"{folder} cannot be used for compiled modules: {error.strerror}") from error

    def find(self, digest: str, *, fuel: bool) -> Artifact | None:
        """The artifact of a module that `get` would give, too."""
        entry = self.get(digest, fuel=fuel)
        return None if entry is None else entry.artifact

    def get(self, digest: str, *, fuel: bool) -> Entry | None:
        """A module's entry, or None when there is none that this user wrote.

        `fuel` says whether it must count instructions: that is other code.
        """
        return self._get(digest, fuel=fuel) or self._get_spare(digest, fuel=fuel)

    def _get_spare(self, digest: str, *, fuel: bool) -> Entry | None:
        if self.folder == self.spare or not self.spare.exists():
            return None
        try:
            return Cache(self.spare).get(digest, fuel=fuel)
        except EngineError:  # somebody else's
            return None

    def _get(self, digest: str, *, fuel: bool) -> Entry | None:
        try:
            with FileIO(f"{self.folder}/{self._name(digest, fuel=fuel)}") as file:
                content = file.readall()
        except OSError:
            return None
        mac, rest = content[:_MAC_SIZE], memoryview(content)[_MAC_SIZE:]
        if not hmac.compare_digest(mac, self._mac(rest)):
            return None
        sizes = _HEADER.unpack_from(rest)  # from here on it is what we wrote
        shape = _HEADER.size + sizes[0]
        code = shape + sizes[1]
        header = json.loads(bytes(rest[_HEADER.size : shape]))
        artifact = Artifact.from_facts(header["module"])
        if (artifact.digest, self._maker, fuel) != (digest, header["maker"], header["fuel"]):
            return None
        return Entry(artifact=artifact, shape=bytes(rest[shape:code]), code=bytes(rest[code:]))

    def put(self, entry: Entry, *, fuel: bool) -> None:
        """Keeps a module, whole or not at all; raises OSError when the disk does not take it."""
        facts = {"maker": self._maker, "fuel": fuel, "module": entry.artifact.facts()}
        header = json.dumps(facts).encode()
        rest = b"".join((_HEADER.pack(len(header), len(entry.shape)), header, entry.shape, entry.code))
        try:
            part = self._write_part(self._mac(rest), rest)
        except OSError:
            if self.folder == self.spare:
                raise
            self._put_spare(entry, fuel=fuel)
            return
        part.replace(self.folder / self._name(entry.artifact.digest, fuel=fuel))

    def _put_spare(self, entry: Entry, *, fuel: bool) -> None:
        try:
            Cache(self.spare).put(entry, fuel=fuel)
        except EngineError as error:
            raise OSError(errno.EACCES, str(error)) from error

    @property
    def spare(self) -> Path:
        """Where entries go that the folder does not take: the same for all of this user that open it."""
        memory = Path("/dev/shm")  # noqa: S108 - the folder in it is checked as this one is
        place = memory if memory.is_dir() else Path(tempfile.gettempdir())
        name = hashlib.sha256(f"{os.geteuid()} {self.folder}".encode()).hexdigest()[:16]
        return place / f"serverless-wasm-{name}"

    def drop(self, digest: str, *, fuel: bool) -> None:
        """Removes an entry that turned out to be of no use, wherever it is."""
        name = self._name(digest, fuel=fuel)
        for folder in (self.folder, self.spare):
            with suppress(OSError):
                (folder / name).unlink()

    def sweep(self, process: int) -> None:
        """Removes what a process that was killed has left half written."""
        for part in self.folder.glob(f"{_PART}{process}-*"):
            part.unlink(missing_ok=True)

    def sweep_old(self) -> None:
        """Removes what was left half written long ago: a process's parent may have been killed with it."""
        before = time() - ABANDONED
        for part in self.folder.glob(f"{_PART}*"):
            with suppress(OSError):  # another service sweeps, too
                if part.stat().st_mtime < before:
                    part.unlink()

    def _name(self, digest: str, *, fuel: bool) -> str:
        return f"{digest}-{self._suffixes[fuel]}.cwasm"

    def _mac(self, content: bytes | memoryview) -> bytes:
        return hmac.digest(self._key, content, "sha256")

    def _open_key(self) -> bytes:
        """The folder's key; of several processes that want to make it, one does."""
        path = self.folder / "key"
        if not path.exists():
            part = self._write_part(secrets.token_bytes(KEY_SIZE))
            with suppress(FileExistsError):
                path.hardlink_to(part)
            part.unlink()
        key = path.read_bytes()
        if len(key) != KEY_SIZE:
            raise EngineError(f"{path} is damaged; write: rm {path}")
        return key

    def _write_part(self, *content: bytes) -> Path:
        """A file that is not under its name yet: whoever reads there sees all of it or nothing."""
        number, name = tempfile.mkstemp(prefix=f"{_PART}{os.getpid()}-", dir=self.folder)  # mode 0600
        try:
            with os.fdopen(number, "wb") as file:
                for piece in content:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)


def open_cache(emit: Emit) -> Cache:
    """The user's cache; where it cannot be used a folder of this process's own, and a notice that says why.

    Raises EngineError when there cannot even be that.
    """
    try:
        cache = Cache(_usual_folder())
    except (EngineError, RuntimeError) as error:  # RuntimeError: there is no home folder
        emit(Notice(message=f"compiled modules are not kept: {error}"))
    else:
        cache.sweep_old()
        return cache
    try:
        folder = tempfile.mkdtemp(prefix="serverless-wasm-")
    except OSError as error:
        raise EngineError(f"there is no folder for compiled modules: {error.strerror}") from error
    cache = Cache(Path(folder))
    weakref.finalize(cache, shutil.rmtree, folder, ignore_errors=True)
    return cache


def _usual_folder() -> Path:
    """Where systemd says (CacheDirectory=), else where the XDG base directory specification says."""
    given = os.environ.get("CACHE_DIRECTORY") or os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "serverless-wasm"


def _suffix(maker: str, *, fuel: bool) -> str:
    """What tells one engine's entries from another's by their names."""
    return hashlib.sha256(f"{maker} {fuel}".encode()).hexdigest()[:16]


def _processor() -> str:
    """What native code was made for: a home folder may be shared by machines that differ."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            features = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    except OSError:  # not Linux
        features = platform.processor()
    return f"{platform.machine()} {hashlib.sha256(features.encode()).hexdigest()[:16]}"
