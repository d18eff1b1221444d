"""The SQLite database of a key-value store: its file, its tables, and what can be wrong with them.

A path comes in; a connection goes out whose commits survive the loss of power.
It must never touch a database of another program, nor one that others may write.
"""

from __future__ import annotations

import random
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from serverless_wasm.errors import CapabilityError, Failed, TooLarge
from serverless_wasm.limits import MIB

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE namespaces (
               id INTEGER PRIMARY KEY, store BLOB NOT NULL, application BLOB NOT NULL,
               used INTEGER NOT NULL DEFAULT 0, UNIQUE (store, application))""",
        # the value is last: whoever looks at the rest of a row does not read it
        """CREATE TABLE pairs (
               id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, key BLOB NOT NULL, expires INTEGER,
               value BLOB NOT NULL, UNIQUE (namespace, key))""",
        "CREATE INDEX expiring ON pairs (namespace, expires) WHERE expires IS NOT NULL",
    ),
)
"""What makes each version of the tables of the one before; PRAGMA user_version counts them."""
_APPLICATION_ID = 0x53574B56
"""PRAGMA application_id, "SWKV"; file(1) and we know our databases by it."""
_WAL_LIMIT = 64 * MIB
"""The log is cut to this when a large one has been written back."""
_NAP = 0.001
"""Seconds between two tries to get hold of the database; SQLite's own pauses grow to 100 ms, by which a
process among busy ones starves."""
_T = TypeVar("_T")


def connect(path: Path, patience: float) -> sqlite3.Connection:
    """A connection to the database, made if need be together with its folder; of this thread alone.

    It waits up to `patience` seconds for other processes. Raises Failed for a file that is not ours to use,
    and sqlite3.Error.
    """
    try:
        is_new = not _is_there(path)
        if is_new:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        return persist(lambda: _prepared(path, is_new=is_new), patience)
    except OSError as error:
        raise Failed(f"the database cannot be opened: {error.strerror}") from None


def persist(attempt: Callable[[], _T], patience: float) -> _T:
    """Tries again while another process has the database to itself."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0.2, 1.8) * _NAP)  # noqa: S311 - so that they do not meet again


def failure(error: sqlite3.Error) -> CapabilityError:
    """What a guest is told, and a log; the text has nothing that was written by a guest."""
    match _code(error):
        case sqlite3.SQLITE_FULL:
            return TooLarge("the disk is full")
        case sqlite3.SQLITE_TOOBIG:
            return TooLarge("a value that is too large for SQLite")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Failed("another process keeps the database locked")
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return Failed("the database is damaged; restore it, or move it away")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return Failed(
                "the database cannot be opened or written; look at the rights of its file and folder"
            )
    return Failed(f"the database failed ({getattr(error, 'sqlite_errorname', type(error).__name__)})")


def can_go_on(error: Exception) -> bool:
    """Whether the connection is as good as before."""
    return isinstance(error, sqlite3.Error) and _code(error) in {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }


def _code(error: sqlite3.Error) -> int:
    """The primary result code, https://sqlite.org/rescode.html; 0 for errors of the module itself."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def _is_busy(error: sqlite3.Error) -> bool:
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _is_there(path: Path) -> bool:
    """Looks without opening: closing any descriptor of a database drops SQLite's locks (fcntl(2))."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise Failed("the database cannot be opened: not a file")
    if found.st_mode & stat.S_IWOTH:
        raise Failed("everybody may write the database; write: chmod 600")
    return True


def _prepared(path: Path, *, is_new: bool) -> sqlite3.Connection:
    if is_new:
        with tempfile.NamedTemporaryFile() as private:  # has mode 0600, which SQLite takes over
            return _checked(path, f"mode=rwc&modeof={quote(private.name)}")
    return _checked(path, "mode=rw")


def _checked(path: Path, how: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path))}?{how}", timeout=0, isolation_level=None, uri=True)
    try:
        _require_ours(connection)
        if connection.execute("PRAGMA journal_mode = WAL").fetchone() != ("wal",):
            raise Failed("the database's file system has no shared memory, which SQLite's log needs")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
        _migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _require_ours(connection: sqlite3.Connection) -> None:
    found = connection.execute(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)"
    ).fetchone()  # both of one moment: another process may be making the tables
    if found[0] != _APPLICATION_ID and found != (0, 0):
        raise Failed("the database is one of another program")


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings older tables up to date; raises Failed for newer ones."""
    if _version(connection) == len(STEPS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for step in STEPS[_version(connection) :]:  # another process may have been faster
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(STEPS)}")
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(STEPS):
        raise Failed(
            f"the database is of a newer release (version {version}, not {len(STEPS)}); update this one"
        )
    return version
