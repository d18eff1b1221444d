"""Where a running service and the commands for it meet: a folder of the user's own, two files for each.

A configuration's path comes in; the places where its service may be go out, the best first.
It must never trust a folder in which another user may write, or which another user may have put there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

NAME = "serverless-wasm"
_PATH_LIMIT = 64 * 1024
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def written(configuration: Path) -> str:
    """The path as the operator wrote it, made absolute.

    Links are not followed: `current/config.toml` is the same configuration when `current` leads elsewhere.
    """
    return os.path.abspath(configuration)  # noqa: PTH100 - Path.absolute keeps `..`


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one service in one folder; the paths of sockets must be short (unix(7): 108 bytes)."""

    folder: Path
    digest: str

    @classmethod
    def of(cls, folder: Path, configuration: Path) -> Place:
        """The place of the service that was started with that path."""
        return cls(folder, hashlib.sha256(os.fsencode(written(configuration))).hexdigest()[:16])

    @property
    def socket(self) -> Path:
        """The socket; it may be there though its service is dead."""
        return self.folder / f"{self.digest}.sock"

    @property
    def lock(self) -> Path:
        """Locked as long as the service lives, whatever becomes of it; holds the configuration's path."""
        return self.folder / f"{self.digest}.lock"

    def take(self, configuration: Path) -> int:
        """The descriptor that holds the place until it is left, or the process has ended.

        Raises BlockingIOError when another service has it, and OSError.
        """
        while True:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with ExitStack() as on_failure:
                on_failure.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not self._is_lock(descriptor):
                    continue
                os.ftruncate(descriptor, 0)
                os.write(descriptor, os.fsencode(written(configuration)))
                on_failure.pop_all()
                return descriptor

    def leave(self, descriptor: int) -> None:
        """Removes what is there of a service that has taken the place."""
        with suppress(OSError):
            self.socket.unlink(missing_ok=True)
            self.lock.unlink(missing_ok=True)
        os.close(descriptor)

    def _is_lock(self, descriptor: int) -> bool:
        """Whether the file is the lock still: another service may have left between our open and flock."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(descriptor), self.lock.stat())
        return False

    def belongs_to(self, configuration: Path) -> bool:
        """Whether the service was started with that file, by whatever name: links may lead to it.

        When root asks, the folder may be another user's, and its files anything: a pipe must not hold us up.
        """
        with suppress(OSError, ValueError):  # ValueError: a zero byte in the path
            descriptor = os.open(self.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb", 0) as file:
                path = os.fsdecode(file.read(_PATH_LIMIT) or b"")
            return os.path.realpath(path) == os.path.realpath(configuration)
        return False


def own_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """The folders that a service of this user may use, made where that is possible."""
    for folder in _folders(environ):
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_ours(folder):
                yield folder


def places(configuration: Path, environ: Mapping[str, str]) -> Iterator[Place]:
    """Where the service of a configuration may be: under the path as it is written, then under others."""
    for folder in _folders(environ):
        if _is_ours(folder) or _is_of_root(folder):
            own = Place.of(folder, configuration)
            yield own
            others = (Place(folder, lock.stem) for lock in sorted(folder.glob("*.lock")))
            yield from (place for place in others if place != own and place.belongs_to(configuration))


def foreign_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """Folders where a service of another user may be."""
    for folder in _folders(environ):
        if os.path.lexists(folder) and not _is_ours(folder) and not _is_of_root(folder):
            yield folder


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    """The one of systemd's unit, the user's (XDG Base Directory), the system's, a temporary one."""
    given = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given.startswith("/"):
        yield Path(given)
    if (own := environ.get("XDG_RUNTIME_DIR", "")).startswith("/"):
        yield Path(own, NAME)
    yield Path("/run", NAME)
    yield Path(tempfile.gettempdir(), f"{NAME}-{os.geteuid()}")


def _is_ours(folder: Path) -> bool:
    """Whether nobody but us and root can write there, or put another folder in its place."""
    own = os.geteuid()
    try:
        entry, facts, parent = folder.lstat(), folder.stat(), folder.parent.stat()
    except OSError:
        return False
    kept = not parent.st_mode & _OTHERS_WRITE or bool(parent.st_mode & stat.S_ISVTX)
    return (
        {entry.st_uid, parent.st_uid} <= {0, own}  # a link by root is systemd's DynamicUser=
        and kept
        and facts.st_uid == own
        and stat.S_ISDIR(facts.st_mode)
        and not facts.st_mode & _OTHERS_WRITE
    )


def _is_of_root(folder: Path) -> bool:
    """Whether we are root, and root alone can have given the folder to whomever it belongs."""
    try:
        parent = folder.parent.stat()
    except OSError:
        return False
    return os.geteuid() == 0 == parent.st_uid and not parent.st_mode & _OTHERS_WRITE
