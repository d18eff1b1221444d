"""How much a guest may keep in a folder.

What is about to be made, and what is gone, comes in; leave to go on, or OSError (EDQUOT), goes out.
It must never count less than there is: a file that was removed counts until nobody has it open any more.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from serverless_wasm.storage.beneath import identity, refusal, walk

ENTRY = 4096
"""Bytes that a name counts for, beside what the file holds: an empty file takes room, too."""


class Quota:
    """`limit` bytes, or None for as many as there are; `used` counts them.

    It is exact as long as only its own folders change what is there, all of them in one thread; no call looks
    at more than one file.
    """

    def __init__(self, limit: int | None = None, used: int = 0) -> None:
        self.limit = limit
        self.used = used
        self._open: Counter[tuple[int, int]] = Counter()
        self._orphans: set[tuple[int, int]] = set()

    def take(self, size: int) -> None:
        """Counts `size` bytes more; raises OSError (EDQUOT) when that is too much, and counts nothing."""
        if self.limit is not None and size > 0 and self.used + size > self.limit:
            raise refusal(errno.EDQUOT)
        self.used += size

    def give_back(self, size: int) -> None:
        """Counts `size` bytes less; what others removed from under us is not counted twice."""
        self.used = max(0, self.used - size)

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Counts `size` bytes more for something that is made meanwhile, unless that fails."""
        self.take(size)
        try:
            yield
        except BaseException:
            self.give_back(size)
            raise

    def opened(self, found: os.stat_result) -> None:
        """A file or folder is open once more."""
        self._open[identity(found)] += 1

    def closed(self, found: os.stat_result) -> None:
        """A file or folder that was open, as it is now, is so no more."""
        key = identity(found)
        self._open[key] -= 1
        if self._open[key] > 0:
            return
        del self._open[key]
        if key in self._orphans:
            self._orphans.remove(key)
            self.give_back(_size(found))

    def removed(self, found: os.stat_result) -> None:
        """A name is gone of what was like this before."""
        if not stat.S_ISDIR(found.st_mode) and found.st_nlink > 1:
            self.give_back(ENTRY)
        elif identity(found) in self._open:
            self._orphans.add(identity(found))
        else:
            self.give_back(_size(found))


def usage(folder: int) -> int:
    """Bytes below a folder, each name counting as ENTRY; raises OSError for what cannot be looked into."""
    total = 0
    linked: set[tuple[int, int]] = set()

    def visit(_folder: int, entry: os.DirEntry[str]) -> bool:
        nonlocal total
        with suppress(FileNotFoundError):  # removed just now
            found = entry.stat(follow_symlinks=False)
            total += ENTRY if identity(found) in linked else _size(found)
            if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
                linked.add(identity(found))
            return stat.S_ISDIR(found.st_mode)
        return False

    walk(folder, visit)
    return total


def _size(found: os.stat_result) -> int:
    """What something with one name counts for."""
    holds = stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)
    return ENTRY + (found.st_size if holds else 0)
