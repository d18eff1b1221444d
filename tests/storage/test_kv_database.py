"""Whatever is wrong with the file of a database, callers are told, in words, and others go on."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from conditions import ROOT, fill, powerless, small_disk
from serverless_wasm.storage.kv import database
from serverless_wasm.storage.kv.namespace import Namespace
from serverless_wasm.storage.kv.stores import open_key_value
from storage.key_values import TIMEOUT, all_keys, opened, refused, settings_of, with_namespace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database will be."""
    return tmp_path / "state.db"


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def made(path: Path) -> None:
    """A database in which `key` is `value`."""

    async def main(space: Namespace) -> None:
        await space.set(b"key", b"value")

    with_namespace(url_of(path), main)


def reason(path: Path, timeout: float = TIMEOUT) -> str:
    """What `get` and `set` are refused with, which is the same."""

    async def main() -> str:
        async with opened(url_of(path), timeout) as store:
            space = store.namespace("application")
            got = await refused(space.get(b"key"))
            assert got == await refused(space.set(b"key", b"other"))
            return got

    return asyncio.run(main())


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """As another program sees the database."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def execute(path: Path, statement: str) -> None:
    """As another program changes it."""
    rows(path, statement)


def test_a_newer_database_is_refused(path: Path) -> None:
    """And left as it is; the sentence says what to do (THREATS O13)."""
    made(path)
    execute(path, "PRAGMA user_version = 99")

    said = reason(path)

    assert "newer release (version 99, not 1); update this one" in said
    assert [(99,)] == rows(path, "PRAGMA user_version")
    assert [(b"value",)] == rows(path, "SELECT value FROM pairs")


def test_an_older_database_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything in it, by each step that it lacks."""
    made(path)
    further = ("ALTER TABLE namespaces ADD COLUMN further TEXT DEFAULT 'added'",)
    monkeypatch.setattr(database, "STEPS", (*database.STEPS, further))

    async def main(space: Namespace) -> None:
        assert await space.get(b"key") == b"value"

    with_namespace(url_of(path), main)

    assert [("added",)] == rows(path, "SELECT further FROM namespaces")
    assert [(2,)] == rows(path, "PRAGMA user_version")


def test_a_step_that_fails_leaves_the_older_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, and usable by the release that made it."""
    made(path)
    with monkeypatch.context() as patch:
        broken = ("ALTER TABLE namespaces ADD COLUMN further TEXT", "no SQL")
        patch.setattr(database, "STEPS", (*database.STEPS, broken))
        assert "Failed" in reason(path)

    async def main(space: Namespace) -> None:
        assert await space.get(b"key") == b"value"

    with_namespace(url_of(path), main)
    assert [] == rows(path, "SELECT name FROM pragma_table_info('namespaces') WHERE name = 'further'")


def test_many_open_a_new_database_at_once(path: Path) -> None:
    """Twelve stores with two connections each, and each finds all tables."""

    async def main() -> None:
        stores = [open_key_value(settings_of(url_of(path)), TIMEOUT) for _ in range(12)]
        spaces = [store.namespace("a") for store in stores]
        calls = [call for space in spaces for call in (space.get(b"key"), space.increment(b"n", 1))]
        answers = await asyncio.gather(*calls)
        assert [None] * 12 == answers[::2]
        assert list(range(1, 13)) == sorted(number for number in answers[1::2] if isinstance(number, int))
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_what_is_no_database_is_refused(path: Path) -> None:
    """And left as it is: text, a database of another program, a folder, a pipe."""
    path.write_bytes(b"a letter to a friend\n" * 1000)
    assert "the database is damaged" in reason(path)
    assert path.read_bytes().startswith(b"a letter")
    path.unlink()

    execute(path, "CREATE TABLE theirs (x)")
    assert "the database is one of another program" in reason(path)
    assert [("delete",)] == rows(path, "PRAGMA journal_mode")
    path.unlink()

    path.mkdir()
    assert "not a file" in reason(path)
    path.rmdir()

    os.mkfifo(path)
    assert "not a file" in reason(path)
    path.unlink()
    assert "Not a directory" in reason(Path("/dev/null/state.db"))
    assert "No such file or directory" in reason(path.parent / "a" / "b" / "state.db")


def test_a_damaged_database_fails_alone(path: Path) -> None:
    """An error for each call, none for another store; when a good file is there again it works again."""
    made(path)
    good, damage = path.read_bytes(), path.write_bytes
    other = path.parent / "other.db"

    async def main() -> None:
        async with opened(url_of(path)) as store, opened(url_of(other)) as second:
            space, neighbour = store.namespace("application"), second.namespace("application")
            damage(good[:4096] + b"\xa5" * (len(good) - 4096))
            for _ in range(3):
                assert "the database is damaged" in await refused(space.get(b"key"))
                assert "the database is damaged" in await refused(space.set(b"key", b"other"))
                await neighbour.set(b"key", b"value")
            damage(good)
            assert await space.get(b"key") == b"value"
            await space.set(b"key", b"other")

    asyncio.run(main())


def test_everybody_may_write_it(path: Path) -> None:
    """Then it is not used, and the sentence says what to write (THREATS O12)."""
    made(path)
    path.chmod(0o666)

    assert "everybody may write the database; write: chmod 600" in reason(path)


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """TooLarge for what has no room; nothing acknowledged is lost; it goes on when there is room again."""
    with small_disk(tmp_path / "disk", "2m") as disk:
        path = disk / "state.db"

        async def main(space: Namespace) -> None:
            kept = 0
            await space.set(b"small", b"value")
            ballast = fill(disk)
            for _ in range(2):
                for number in range(20):
                    said = await refused(space.set(b"%d" % number, bytes(100_000)))
                    assert said in {"TooLarge: key_value.default: the disk is full", "answered None"}
                    kept += said == "answered None"
                assert "TooLarge" in await refused(space.set(b"0", bytes(200_000)))
                assert await space.get(b"small") == b"value"
            kept = len(await all_keys(space))
            ballast.unlink()
            assert kept == len(await all_keys(space))
            await space.set(b"again", bytes(200_000))
            assert await space.get(b"again") == bytes(200_000)

        with_namespace(url_of(path), main)
        assert [("ok",)] == rows(path, "PRAGMA integrity_check")


LIMITED = """
import asyncio, resource, sys
from serverless_wasm.errors import CapabilityError
from serverless_wasm.storage.kv.namespace import KeyValueSettings
from serverless_wasm.storage.kv.stores import open_key_value

async def main():
    store = open_key_value(KeyValueSettings(name="default", url=sys.argv[1]), 20.0)
    space = store.namespace("application")
    await space.set(b"small", b"value")
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    errors = set()
    for number in range(10):
        try:
            await space.set(b"%d" % number, bytes(100_000))
        except CapabilityError as error:
            errors.add(str(error))
    assert await space.get(b"small") == b"value"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await space.set(b"again", bytes(100_000))
    await store.close()
    print(errors)

asyncio.run(main())
"""


def test_a_limit_of_file_sizes_is_told(path: Path) -> None:
    """An error for what goes beyond RLIMIT_FSIZE, no signal that ends the process, and then it goes on."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, url_of(path)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "{'key_value.default: the database failed (SQLITE_IOERR_WRITE)'}\n"
    assert [("ok",)] == rows(path, "PRAGMA integrity_check")


READ_ONLY = """
import asyncio, sys
from serverless_wasm.storage.kv.namespace import KeyValueSettings
from serverless_wasm.storage.kv.stores import open_key_value

async def main():
    store = open_key_value(KeyValueSettings(name="default", url=sys.argv[1]), 20.0)
    try:
        await store.namespace("application").set(b"key", b"value")
    except Exception as error:
        print(type(error).__name__, error)
    await store.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("is_there", [False, True])
def test_a_folder_without_rights_is_told(path: Path, *, is_there: bool) -> None:
    """A sentence with what to look at, whether the database is there or not (THREATS O12)."""
    if is_there:
        made(path)
        path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        done = subprocess.run(
            [*powerless(), sys.executable, "-c", READ_ONLY, url_of(path)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        path.parent.chmod(0o700)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "Failed key_value.default: the database cannot be opened or written; look at"
    )


@pytest.mark.skipif(not ROOT, reason="only root can mount a file system")
def test_a_read_only_disk_is_told(tmp_path: Path) -> None:
    """Also one that becomes so while it is used; and it works again when it may be written again."""
    with small_disk(tmp_path / "disk", "4m") as disk:

        def remount(how: str) -> None:
            subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)

        path = disk / "state.db"
        made(path)
        remount("ro")
        assert "Failed: key_value.default: the database cannot be opened or written" in reason(path)
        remount("rw")

        async def main(space: Namespace) -> None:
            assert await space.get(b"key") == b"value"
            await space.set(b"key", b"other")
            assert await space.get(b"key") == b"other"

        with_namespace(url_of(path), main)
