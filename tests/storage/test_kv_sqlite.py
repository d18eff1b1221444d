"""A database keeps what it acknowledged, and does nothing that nobody waits for any more."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import threading
from functools import partial
from pathlib import Path

import pytest

from serverless_wasm.errors import Failed
from serverless_wasm.storage.kv import database
from serverless_wasm.storage.kv.clerk import Clerk
from serverless_wasm.storage.kv.namespace import PAIR, SWEPT, Namespace
from serverless_wasm.storage.kv.sqlite import SqliteStore
from serverless_wasm.storage.kv.stores import open_key_value
from storage.key_values import TIMEOUT, all_keys, opened, refused, settings_of, with_namespace
from storage.trees import descriptors


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


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """As another program sees the database."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def test_nobody_else_may_read_it(path: Path) -> None:
    """Neither the database nor what SQLite puts beside it, nor the folder that is made for it."""
    path = path.parent / "folder" / path.name

    async def main(space: Namespace) -> None:
        await space.set(b"key", b"value")
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
        assert {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600} == modes
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    before = os.umask(0)
    try:
        with_namespace(url_of(path), main)
    finally:
        os.umask(before)
    assert ["state.db"] == [each.name for each in path.parent.iterdir()]


def test_a_path_is_a_path(path: Path) -> None:
    """Whatever characters it has: none of them is an option of SQLite's."""
    path = path.parent / "a b?mode=memory&x=%41#é" / "state.db"

    made(path)

    assert [(b"key", b"value")] == rows(path, "SELECT key, value FROM pairs")


def test_nothing_is_opened_before_the_first_call(path: Path) -> None:
    """No file, no thread, no descriptor."""
    threads, before = threading.active_count(), descriptors()

    store = open_key_value(settings_of(url_of(path)), TIMEOUT)

    assert (threads, before) == (threading.active_count(), descriptors())
    assert not path.exists()
    asyncio.run(store.close())


def test_closing_frees_everything(path: Path) -> None:
    """Threads and descriptors, after calls that worked, failed and were cancelled."""

    async def main() -> None:
        async with opened(url_of(path)) as store:
            space = store.namespace("a")
            tasks = [asyncio.create_task(space.set(b"%d" % number, b"")) for number in range(20)]
            await asyncio.sleep(0)
            for task in tasks[::3]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await refused(space.set(b"", b""))
            await space.get(b"1")

    threads, before = threading.active_count(), descriptors()

    asyncio.run(main())

    # of the loop's executor there may be one
    assert {"key-value"}.isdisjoint(thread.name for thread in threading.enumerate())
    assert threads >= threading.active_count()
    assert before == descriptors()


def test_commits_reach_the_disk(path: Path) -> None:
    """The log is synchronised at each commit: THREATS 2.4."""
    connection = database.connect(path, 1.0)
    try:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        connection.close()


def test_writes_that_wait_share_a_commit(path: Path) -> None:
    """While the first is in its transaction the others gather, and all of them go into the next one."""
    begun: list[str] = []
    open_gate = threading.Event()

    def connect() -> sqlite3.Connection:
        connection = database.connect(path, TIMEOUT)
        connection.set_trace_callback(begun.append)
        return connection

    def begin(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        assert open_gate.wait(TIMEOUT)

    def pair(number: int, connection: sqlite3.Connection) -> tuple[int, bool]:
        return number, connection.in_transaction

    async def main() -> None:
        clerk = Clerk(connect, begin)
        first = asyncio.create_task(clerk.do(partial(pair, 0)))
        while "BEGIN IMMEDIATE" not in begun:  # noqa: ASYNC110 - in another thread
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(clerk.do(partial(pair, number))) for number in range(1, 20)]
        await asyncio.sleep(0)
        open_gate.set()
        assert [(number, True) for number in range(20)] == await asyncio.gather(first, *others)
        clerk.end()
        await clerk.ended()

    asyncio.run(main())
    assert 2 == begun.count("COMMIT")


def test_one_failure_is_not_that_of_its_neighbours(path: Path) -> None:
    """Work that breaks is undone, whatever it did; what waited beside it is done, and what comes next."""

    def breaks(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE pairs SET value = 'broken'")
        connection.execute("no SQL")

    async def main() -> None:
        store = SqliteStore(settings_of(url_of(path)), TIMEOUT)
        space = store.namespace("a")
        await space.set(b"key", b"value")
        answers = await asyncio.gather(
            *(space.increment(b"n", 1) for _ in range(10)),
            store._writer.do(breaks),
            *(space.increment(b"n", 1) for _ in range(10)),
            return_exceptions=True,
        )
        assert isinstance(answers.pop(10), Failed)
        assert list(range(1, 21)) == answers
        assert await space.get(b"key") == b"value"
        await store.close()

    asyncio.run(main())


def test_what_nobody_waits_for_is_not_done(path: Path) -> None:
    """Work that is cancelled before its turn never happens."""
    made(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    async def main(space: Namespace) -> None:
        assert await space.get(b"key") == b"value"
        first = asyncio.create_task(space.set(b"key", b"first"))
        await asyncio.sleep(0.02)
        second = asyncio.create_task(space.set(b"key", b"second"))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        blocker.execute("ROLLBACK")
        await first
        assert await space.increment(b"n", 1) == 1
        assert await space.get(b"key") == b"first"

    try:
        with_namespace(url_of(path), main)
    finally:
        blocker.close()


def test_a_locked_database_fails_in_time(path: Path) -> None:
    """Reads go on; writes fail when their time is up, and work again when the lock is gone."""
    made(path)
    blocker = sqlite3.connect(path, isolation_level=None)

    async def main() -> None:
        async with opened(url_of(path), 0.3) as store:
            space = store.namespace("application")
            blocker.execute("BEGIN IMMEDIATE")
            said = await refused(space.set(b"key", b"other"))
            assert said == "Failed: key_value.default: another process keeps the database locked"
            assert await space.get(b"key") == b"value"
            blocker.execute("ROLLBACK")
        async with opened(url_of(path)) as store:
            await store.namespace("application").set(b"key", b"other")

    try:
        asyncio.run(main())
    finally:
        blocker.close()


def test_a_time_to_live_is_of_the_clock(path: Path) -> None:
    """Visible until the very millisecond; removed by writes, few at a time, counted until then."""
    time = [1000]

    async def main() -> None:
        store = SqliteStore(settings_of(url_of(path)), TIMEOUT, lambda: time[0])
        space = store.namespace("a")
        for number in range(3 * SWEPT):
            await space.set(b"%03d" % number, b"v", 500)
        time[0] = 1499
        assert await space.get(b"000") == b"v"
        time[0] = 1500
        assert await space.get(b"000") is None
        assert [] == await all_keys(space, b"", 5)
        page, after = await space.keys(b"", None, 5)
        assert ([], b"004") == (page, after)
        for left in 2 * SWEPT, SWEPT, 0, 0:
            await space.set(b"x", b"")
            assert [(left + 1,)] == rows(path, "SELECT count(*) FROM pairs")
            assert [(left * (PAIR + 4) + PAIR + 1,)] == rows(path, "SELECT used FROM namespaces")
        await store.close()

    asyncio.run(main())


def test_a_counter_keeps_its_time(path: Path) -> None:
    """It counts on until it is over, and then from nothing, for ever."""
    time = [1000]

    async def main() -> None:
        store = SqliteStore(settings_of(url_of(path)), TIMEOUT, lambda: time[0])
        space = store.namespace("a")
        await space.set(b"n", b"5", 100)
        time[0] = 1099
        assert await space.increment(b"n", 1) == 6
        time[0] = 1100
        assert await space.increment(b"n", 1) == 1
        time[0] = 10**15
        assert await space.increment(b"n", 1) == 2
        await store.close()

    asyncio.run(main())
