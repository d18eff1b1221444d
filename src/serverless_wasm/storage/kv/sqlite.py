"""Keys and values in an SQLite database, which any number of processes may share.

Keys and values come in; what is acknowledged is on the disk, and survives `kill -9` and the loss of power.
It must never block the event loop, nor lose count of what a namespace holds.

Two threads serve a process: one reads, one writes. Everything that waits to be written goes into one
transaction, so the cost of a commit (a few milliseconds on many disks) is shared.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from serverless_wasm.errors import Failed, TooLarge
from serverless_wasm.storage.kv.clerk import Clerk
from serverless_wasm.storage.kv.database import connect, persist
from serverless_wasm.storage.kv.namespace import PAIR, SWEPT, KeyValueSettings, Namespace, full

Clock = Callable[[], int]
"""Milliseconds since 1970: a time to live must outlast the process."""
_SHARE = 0.8
"""Of the time for a call, what goes into waiting for others; the rest is to say that it was in vain."""
_NUMBER = re.compile(rb"0|-?[1-9][0-9]*")
"""As Redis reads a number: no sign of a positive one, no zeros in front, no spaces."""
_INTEGERS = range(-(2**63), 2**63)


def now() -> int:
    """The time of this machine."""
    return time.time_ns() // 1_000_000


class SqliteStore:
    """A database file, and the threads that work on it; they start with the first call."""

    def __init__(self, settings: KeyValueSettings, timeout: float, clock: Clock = now) -> None:
        path = Path(settings.url.removeprefix("sqlite:///"))
        if not path.is_absolute() or "\0" in settings.url:
            raise ValueError("an absolute path must follow sqlite:///")
        self._settings = settings
        self._timeout = timeout
        self._clock = clock
        patience = _SHARE * timeout
        self._reader = Clerk(lambda: _reading(path, patience), _begin)
        self._writer = Clerk(
            lambda: connect(path, patience),
            lambda connection: persist(lambda: _begin(connection, "BEGIN IMMEDIATE"), patience),
        )

    def namespace(self, application: str) -> Namespace:
        """See KeyValueStore."""
        owner = "" if self._settings.shared else application
        name = self._settings.name.encode(), owner.encode()
        pairs = SqlitePairs(
            self._reader, self._writer, partial(_Ledger, name, self._settings.quota, self._clock)
        )
        return Namespace(self._settings, self._timeout, pairs)

    async def close(self) -> None:
        """See KeyValueStore."""
        for each in self._writer, self._reader:  # both, even if this is cancelled
            each.end()
        await self._writer.ended()
        await self._reader.ended()


def _reading(path: Path, patience: float) -> sqlite3.Connection:
    """Readers wait only while another process recovers the log: SQLite's own pauses will do."""
    connection = connect(path, patience)
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * patience)}")
    return connection


def _begin(connection: sqlite3.Connection, how: str = "BEGIN") -> None:
    connection.execute(how)


class SqlitePairs:
    """The Backend of one namespace."""

    def __init__(self, reader: Clerk, writer: Clerk, ledger: Callable[[sqlite3.Connection], _Ledger]) -> None:
        self._reader = reader
        self._writer = writer
        self._ledger = ledger

    async def read(self, keys: Sequence[bytes], most_bytes: int) -> list[bytes | None]:
        """See Backend."""
        return await self._reader.do(lambda connection: self._ledger(connection).read(keys, most_bytes))

    async def has(self, key: bytes) -> bool:
        """See Backend."""
        return await self._reader.do(lambda connection: self._ledger(connection).size(key) is not None)

    async def page(self, start: bytes, stop: bytes | None, most: int) -> tuple[list[bytes], bytes | None]:
        """See Backend."""
        return await self._reader.do(lambda connection: self._ledger(connection).page(start, stop, most))

    async def write(self, pairs: Mapping[bytes, bytes], ttl: int | None) -> None:
        """See Backend."""
        await self._writer.do(lambda connection: self._ledger(connection).write(pairs, ttl))

    async def remove(self, keys: Sequence[bytes]) -> None:
        """See Backend."""
        await self._writer.do(lambda connection: self._ledger(connection).remove(keys))

    async def increment(self, key: bytes, delta: int) -> int:
        """See Backend."""
        return await self._writer.do(lambda connection: self._ledger(connection).increment(key, delta))

    async def swap(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """See Backend."""
        return await self._writer.do(lambda connection: self._ledger(connection).swap(key, expected, value))


class _Ledger:
    """A namespace within one transaction, and at one moment."""

    def __init__(
        self, name: tuple[bytes, bytes], quota: int, clock: Clock, connection: sqlite3.Connection
    ) -> None:
        self._name = name
        self._quota = quota
        self._now = clock()
        self._execute = connection.execute
        found = self._find()
        self._id: int | None = found[0] if found else None
        self._used = found[1] if found else 0

    def read(self, keys: Sequence[bytes], most_bytes: int) -> list[bytes | None]:
        """The values, unless they are too many bytes."""
        if len(keys) > 1 and sum(self.size(key) or 0 for key in keys) > most_bytes:
            raise TooLarge(f"more than {most_bytes} bytes at once")
        return [self._value(key) for key in keys]

    def size(self, key: bytes) -> int | None:
        """Bytes of the value, which is not read; None if there is none."""
        row = self._execute(
            "SELECT length(value) FROM pairs"
            " WHERE namespace = ? AND key = ? AND (expires IS NULL OR expires > ?)",
            (self._id, key, self._now),
        ).fetchone()
        return None if row is None else int(row[0])

    def page(self, start: bytes, stop: bytes | None, most: int) -> tuple[list[bytes], bytes | None]:
        """A page of keys."""
        until = "" if stop is None else " AND key < ?"
        rows: list[tuple[bytes, int | None]] = self._execute(
            f"SELECT key, expires FROM pairs WHERE namespace = ? AND key >= ?{until} ORDER BY key LIMIT ?",  # noqa: S608 - of two texts one
            (self._id, start, *(() if stop is None else (stop,)), most + 1),
        ).fetchall()
        seen = rows[:most]
        keys = [key for key, expires in seen if expires is None or expires > self._now]
        return keys, seen[-1][0] if len(rows) > most else None

    def write(self, pairs: Mapping[bytes, bytes], ttl: int | None) -> None:
        """Sets them all."""
        self._sweep(pairs)
        self._require_room(sum(_weight(key, len(value)) - self._counted(key) for key, value in pairs.items()))
        for key, value in pairs.items():
            self._put(key, value, None if ttl is None else self._now + ttl)

    def remove(self, keys: Sequence[bytes]) -> None:
        """Removes those that are there."""
        self._sweep(keys)
        for key in keys:
            self._delete(key)

    def increment(self, key: bytes, delta: int) -> int:
        """Adds to a number."""
        self._sweep([key])
        value = self._value(key)
        if value is not None and (
            len(value) > 20 or not _NUMBER.fullmatch(value) or int(value) not in _INTEGERS
        ):
            raise Failed("the value is no number")
        total = int(value or 0) + delta
        if total not in _INTEGERS:
            raise Failed("the sum has more than 64 bits")
        text = b"%d" % total
        self._require_room(_weight(key, len(text)) - self._counted(key))
        self._put(key, text, self._expires(key))
        return total

    def swap(self, key: bytes, expected: bytes | None, value: bytes) -> bool:
        """Sets the value if the present one is the expected one."""
        self._sweep([key])
        if self._value(key) != expected:
            return False
        self._require_room(_weight(key, len(value)) - self._counted(key))
        self._put(key, value, None)
        return True

    def _find(self) -> tuple[int, int] | None:
        found: tuple[int, int] | None = self._execute(
            "SELECT id, used FROM namespaces WHERE store = ? AND application = ?", self._name
        ).fetchone()
        return found

    def _value(self, key: bytes) -> bytes | None:
        row: tuple[bytes] | None = self._execute(
            "SELECT value FROM pairs WHERE namespace = ? AND key = ? AND (expires IS NULL OR expires > ?)",
            (self._id, key, self._now),
        ).fetchone()
        return row and row[0]

    def _expires(self, key: bytes) -> int | None:
        row: tuple[int | None] | None = self._execute(
            "SELECT expires FROM pairs WHERE namespace = ? AND key = ?", (self._id, key)
        ).fetchone()
        return row and row[0]

    def _counted(self, key: bytes) -> int:
        """Bytes that the pair counts for now."""
        size = self.size(key)
        return 0 if size is None else _weight(key, size)

    def _put(self, key: bytes, value: bytes, expires: int | None) -> None:
        self._count(_weight(key, len(value)) - self._counted(key))
        self._execute(
            "INSERT INTO pairs (namespace, key, expires, value) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (namespace, key) DO UPDATE SET expires = excluded.expires, value = excluded.value",
            (self._id, key, expires, value),
        )

    def _delete(self, key: bytes) -> None:
        row = self._execute(
            "SELECT id, length(value) FROM pairs WHERE namespace = ? AND key = ?", (self._id, key)
        ).fetchone()
        if row is not None:
            self._execute("DELETE FROM pairs WHERE id = ?", row[:1])
            self._count(-_weight(key, row[1]))

    def _count(self, more: int) -> None:
        if self._id is None:
            self._execute("INSERT INTO namespaces (store, application) VALUES (?, ?)", self._name)
            self._id, self._used = self._find() or (None, 0)
        self._used += more
        if more:
            self._execute("UPDATE namespaces SET used = ? WHERE id = ?", (self._used, self._id))

    def _require_room(self, more: int) -> None:
        """Removes as many pairs whose time is over as it takes; raises TooLarge if that is not enough."""
        while more > 0 and self._used + more > self._quota:
            if not self._remove_over(SWEPT):
                raise full(self._quota)

    def _sweep(self, keys: Sequence[bytes] | Mapping[bytes, bytes]) -> None:
        """Removes these keys if their time is over, and a few others of which that is true."""
        for key in keys:
            expires = self._expires(key)
            if expires is not None and expires <= self._now:
                self._delete(key)
        self._remove_over(SWEPT)

    def _remove_over(self, most: int) -> bool:
        """Whether there was any."""
        rows = self._execute(
            "SELECT key FROM pairs WHERE namespace = ? AND expires <= ? ORDER BY expires LIMIT ?",
            (self._id, self._now, most),
        ).fetchall()
        for (key,) in rows:
            self._delete(key)
        return bool(rows)


def _weight(key: bytes, size: int) -> int:
    return PAIR + len(key) + size
