"""A folder on disk, and nothing but that folder: files are opened, made, renamed and removed below it.

Paths of a guest's come in; open files, folders and what is known of them go out.
It must never reach outside (storage/beneath.py), open what could wait or do things, nor keep more than its
quota, nor more open than its handles allow. Whatever is refused is an OSError.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from serverless_wasm.storage.beneath import LISTED, Place, refusal, require_path, resolve
from serverless_wasm.storage.handles import Handles
from serverless_wasm.storage.quota import ENTRY, Quota, usage

MOST_BYTES = 1024 * 1024
"""What one call reads or writes: the caller waits meanwhile."""
MOST_ENTRIES = 100_000
"""What one folder may hold whose names are asked for."""
_LARGEST = 2**63 - 1
_MODE = 0o666
_FOLDER_MODE = 0o777
_OPENED = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_AT_END = getattr(os, "RWF_APPEND", None)  # macOS has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a file is opened; `follow` a link at the end of its path."""

    read: bool = True
    write: bool = False
    create: bool = False
    exclusive: bool = False
    truncate: bool = False
    folder: bool = False
    """Only a folder will do."""
    follow: bool = False

    @property
    def changes(self) -> bool:
        """Whether it needs a folder that may be written."""
        return self.write or self.create or self.truncate

    @property
    def only_new(self) -> bool:
        """Whether what is there already, a link too, is in the way."""
        return self.create and self.exclusive

    @property
    def flags(self) -> int:
        """For open(2), but for what makes or cuts a file."""
        return _OPENED | (
            os.O_RDWR if self.read and self.write else os.O_WRONLY if self.write else os.O_RDONLY
        )


class _Open:
    """What has a descriptor, and counts as long as it does."""

    def __init__(self, descriptor: int, quota: Quota | None) -> None:
        self._descriptor: int | None = descriptor
        self._quota = quota or Quota()
        self._quota.opened(os.fstat(descriptor))
        self._counted: Handles | None = None

    @property
    def descriptor(self) -> int:
        """The system's number; raises OSError (EBADF) once it is closed, as does everything else."""
        if self._descriptor is None:
            raise refusal(errno.EBADF)
        return self._descriptor

    def sync(self) -> None:
        """Returns once it is on the disk."""
        os.fsync(self.descriptor)

    def count_among(self, handles: Handles) -> None:
        """From now on it is one of these, until it is closed."""
        self._counted = handles
        handles.take()

    def close(self) -> None:
        """Frees the descriptor; once is enough."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._quota.closed(os.fstat(descriptor))
            os.close(descriptor)
            if self._counted is not None:
                self._counted.give()


class File(_Open):
    """An open file; closed by `close`."""

    def __init__(self, descriptor: int, quota: Quota | None = None, *, writable: bool = True) -> None:
        super().__init__(descriptor, quota)
        self._writable = writable

    def read_at(self, count: int, offset: int) -> bytes:
        """Up to so many bytes from there, MOST_BYTES at once; none at the end."""
        _end(offset, count)
        return os.pread(self.descriptor, min(count, MOST_BYTES), offset)

    def write_at(self, data: bytes, offset: int) -> int:
        """Writes there, MOST_BYTES at once; returns how much of it."""
        part = memoryview(data)[:MOST_BYTES]
        end = _end(offset, len(part))
        with self._changed(end if part else 0):  # nothing, written anywhere, makes nothing longer
            return os.pwrite(self.descriptor, part, offset)

    def append(self, data: bytes) -> int:
        """Writes at the end, wherever that is by now, MOST_BYTES at once; returns how much of it."""
        part = memoryview(data)[:MOST_BYTES]
        size = self.size
        with self._changed(_end(size, len(part))):
            if _AT_END is None:
                return os.pwrite(self.descriptor, part, size)
            return os.pwritev(self.descriptor, [part], size, _AT_END)

    @property
    def size(self) -> int:
        """Bytes in it."""
        return os.fstat(self.descriptor).st_size

    def resize(self, size: int) -> None:
        """Cuts it, or adds zeros."""
        with self._changed(_end(size, 0)):
            os.ftruncate(self.descriptor, size)

    def allocate(self, offset: int, count: int) -> None:
        """Makes it at least so long that so many bytes fit there; raises OSError (EINVAL) for none."""
        end = _end(offset, count)
        if not count:
            raise refusal(errno.EINVAL)
        with self._changed(end):
            # no posix_fallocate: it takes as long as there are holes; the quota holds the room
            os.ftruncate(self.descriptor, max(end, self.size))

    def stat(self) -> os.stat_result:
        """As the system has it."""
        return os.fstat(self.descriptor)

    def set_times(self, times: tuple[int, int]) -> None:
        """Of the last access and the last change, in nanoseconds since 1970."""
        _require(writable=self._writable)
        os.utime(self.descriptor, ns=_times(times))

    @contextmanager
    def _changed(self, end: int) -> Iterator[None]:
        """Counts what it becomes longer or shorter by meanwhile, up to `end`."""
        _require(writable=self._writable)
        before = self.size
        reserved = max(0, end - before)
        self._quota.take(reserved)
        try:
            yield
        finally:
            self._quota.give_back(reserved + before - self.size)


class Folder(_Open):
    """An open folder; what is below it can be reached, and changed if it is `writable`.

    It and the folders opened in it share one quota; nothing is renamed or linked between two quotas (EXDEV).
    What is opened in them counts among `handles`, the folder itself does not.
    """

    def __init__(
        self, descriptor: int, *, writable: bool, quota: Quota | None = None, handles: Handles | None = None
    ) -> None:
        super().__init__(descriptor, quota)
        self.writable = writable
        self._handles = handles or Handles()

    @classmethod
    def at(
        cls, path: str, *, writable: bool, quota: int | None = None, handles: Handles | None = None
    ) -> Self:
        """The folder of that path, which may hold `quota` bytes with what is in it by now; raises OSError.

        What other processes change in it meanwhile is not counted.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            kept = Quota() if quota is None else Quota(quota, usage(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, writable=writable, quota=kept, handles=handles)

    def open(self, path: bytes, how: Opening) -> File | Folder:
        """Opens a file or a folder; EPERM for anything else, which could wait or do things.

        EMFILE when its handles are all in use.
        """
        self._handles.require_room()
        opened = self._find(path, how)
        opened.count_among(self._handles)
        return opened

    def _find(self, path: bytes, how: Opening) -> File | Folder:
        if how.changes:
            _require(writable=self.writable)
        if (how.create and how.folder) or (how.truncate and not how.write):
            raise refusal(errno.EINVAL)
        with resolve(self.descriptor, path, follow=how.follow and not how.only_new) as place:
            found = _look(place)
            if found is None and how.create:
                try:
                    return self._make(place, how)
                except FileExistsError:
                    if how.exclusive:
                        raise
                    found = _look(place)  # another process was faster
            if found is not None and how.only_new:
                raise refusal(errno.EEXIST)
            return self._open(place, how, found)

    def _make(self, place: Place, how: Opening) -> File:
        if place.must_be_folder:
            raise refusal(errno.EISDIR)
        with self._quota.taken(ENTRY):
            flags = how.flags | os.O_CREAT | os.O_EXCL
            made = os.open(place.name, flags, _MODE, dir_fd=place.folder)
        return File(made, self._quota)

    def _open(self, place: Place, how: Opening, found: os.stat_result | None) -> File | Folder:
        if found is None:
            raise refusal(errno.ENOENT)
        if stat.S_ISDIR(found.st_mode):
            if how.changes:
                raise refusal(errno.EISDIR)
            opened = os.open(_or_dot(place), LISTED, dir_fd=place.folder)
            return Folder(opened, writable=self.writable, quota=self._quota, handles=self._handles)
        if stat.S_ISLNK(found.st_mode):
            raise refusal(errno.ELOOP)
        if how.folder:
            raise refusal(errno.ENOTDIR)
        _require_file(found)
        return self._open_file(place, how)

    def _open_file(self, place: Place, how: Opening) -> File:
        descriptor = os.open(place.name, how.flags, dir_fd=place.folder)
        try:
            _require_file(os.fstat(descriptor))  # it may have been replaced since we looked
        except OSError:
            os.close(descriptor)
            raise
        file = File(descriptor, self._quota, writable=self.writable)
        try:
            if how.truncate:
                file.resize(0)
        except OSError:
            file.close()
            raise
        return file

    def stat(self, path: bytes, *, follow: bool) -> os.stat_result:
        """What the system knows of what is there."""
        with resolve(self.descriptor, path, follow=follow) as place:
            return _found(place)

    def own_stat(self) -> os.stat_result:
        """Of the folder itself."""
        return os.fstat(self.descriptor)

    def set_times(self, path: bytes, times: tuple[int, int], *, follow: bool) -> None:
        """Of the last access and the last change, in nanoseconds since 1970."""
        _require(writable=self.writable)
        with resolve(self.descriptor, path, follow=follow) as place:
            _found(place)
            os.utime(_or_dot(place), ns=_times(times), dir_fd=place.folder, follow_symlinks=False)

    def make_folder(self, path: bytes) -> None:
        """Makes a folder."""
        _require(writable=self.writable)
        with resolve(self.descriptor, path, follow=False) as place:
            if not place.name:
                raise refusal(errno.EEXIST)
            with self._quota.taken(ENTRY):
                os.mkdir(place.name, _FOLDER_MODE, dir_fd=place.folder)

    def remove_folder(self, path: bytes) -> None:
        """Removes a folder that is empty."""
        _require(writable=self.writable)
        with resolve(self.descriptor, path, follow=False) as place:
            found = _found(place)
            os.rmdir(_named(place), dir_fd=place.folder)
        self._quota.removed(found)

    def remove(self, path: bytes) -> None:
        """Removes a file or a link."""
        _require(writable=self.writable)
        with resolve(self.descriptor, path, follow=False) as place:
            found = _found(place)
            if stat.S_ISDIR(found.st_mode):
                raise refusal(errno.EISDIR)
            os.unlink(place.name, dir_fd=place.folder)
        self._quota.removed(found)

    def rename(self, path: bytes, other: Folder, other_path: bytes) -> None:
        """Renames what is there, also into another folder of the same quota, and replaces what is there."""
        self._require_kin(other)
        with (
            resolve(self.descriptor, path, follow=False) as place,
            resolve(other.descriptor, other_path, follow=False) as target,
        ):
            found, replaced = _found(place), _look(target)
            if target.must_be_folder and not stat.S_ISDIR(found.st_mode):
                raise refusal(errno.ENOTDIR)
            names = _named(place), _named(target)
            os.rename(*names, src_dir_fd=place.folder, dst_dir_fd=target.folder)
        # two names of one file stay as they were: rename(2)
        if replaced is not None and not os.path.samestat(found, replaced):
            self._quota.removed(replaced)

    def link(self, path: bytes, other: Folder, other_path: bytes, *, follow: bool) -> None:
        """Gives a file or a link a further name."""
        self._require_kin(other)
        with (
            resolve(self.descriptor, path, follow=follow) as place,
            resolve(other.descriptor, other_path, follow=False) as target,
        ):
            found = _found(place)
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
                raise refusal(errno.EPERM)
            names = place.name, _new(target)
            with self._quota.taken(ENTRY):
                os.link(*names, src_dir_fd=place.folder, dst_dir_fd=target.folder, follow_symlinks=False)

    def make_link(self, target: bytes, path: bytes) -> None:
        """Makes a symbolic link; EPERM for an absolute target, which would mean something else outside."""
        _require(writable=self.writable)
        require_path(target)
        with resolve(self.descriptor, path, follow=False) as place:
            name = _new(place)
            with self._quota.taken(ENTRY + len(target)):
                os.symlink(target, name, dir_fd=place.folder)

    def read_link(self, path: bytes) -> bytes:
        """Where a symbolic link leads; raises OSError (EINVAL) for anything else."""
        with resolve(self.descriptor, path, follow=False) as place:
            _found(place)
            return os.readlink(_named(place), dir_fd=place.folder)

    def names(self) -> list[tuple[str, int, int]]:
        """Name, inode and type (as of `stat.S_IFMT`) of all that is in it, the folder and its parent first.

        The parent is told as the folder itself. Raises OSError (ENOMEM) beyond MOST_ENTRIES.
        """
        own = self.own_stat()
        found = [(".", own.st_ino, stat.S_IFDIR), ("..", own.st_ino, stat.S_IFDIR)]
        with os.scandir(self.descriptor) as entries:
            for entry in entries:
                found.append((entry.name, entry.inode(), _kind(entry)))
                if len(found) > MOST_ENTRIES:
                    raise refusal(errno.ENOMEM)
        return found

    def _require_kin(self, other: Folder) -> None:
        _require(writable=self.writable and other.writable)
        if self._quota is not other._quota:
            raise refusal(errno.EXDEV)


def _look(place: Place) -> os.stat_result | None:
    """What is there, if anything."""
    try:
        found = os.stat(_or_dot(place), dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if place.must_be_folder and not stat.S_ISDIR(found.st_mode):
        raise refusal(errno.ENOTDIR)
    return found


def _found(place: Place) -> os.stat_result:
    found = _look(place)
    if found is None:
        raise refusal(errno.ENOENT)
    return found


def _or_dot(place: Place) -> bytes:
    return place.name or b"."


def _named(place: Place) -> bytes:
    """The name of something that is not the folder itself."""
    if not place.name:
        raise refusal(errno.EINVAL)
    return place.name


def _new(place: Place) -> bytes:
    """The name of what is to be made there, which is no folder."""
    if _look(place) is not None:
        raise refusal(errno.EEXIST)
    if place.must_be_folder:
        raise refusal(errno.ENOENT)
    return place.name


def _require(*, writable: bool) -> None:
    if not writable:
        raise refusal(errno.EROFS)


def _require_file(found: os.stat_result) -> None:
    """Not a device, a pipe or a socket, which could wait or do things."""
    if not stat.S_ISREG(found.st_mode):
        raise refusal(errno.EPERM)


def _end(offset: int, count: int) -> int:
    """The end of a range; raises OSError for one that no file has."""
    if offset < 0 or count < 0:
        raise refusal(errno.EINVAL)
    if offset + count > _LARGEST:
        raise refusal(errno.EFBIG)
    return offset + count


def _times(times: tuple[int, int]) -> tuple[int, int]:
    if any(abs(time) > _LARGEST for time in times):
        raise refusal(errno.EINVAL)
    return times


def _kind(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG if entry.is_file(follow_symlinks=False) else 0
