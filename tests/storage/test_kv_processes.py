"""Several processes write to one store, and are killed: what was acknowledged stays, and nothing is lost.

KEY_VALUE_KILLS and KEY_VALUE_INCREMENTS are how often, and how much of it; docs/key-value.md has the figures.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from serverless_wasm.storage.kv.namespace import PAIR
from storage.key_values import opened, redis_server
from storage.key_values_writer import AT_ONCE, QUOTA

KILLS = int(os.environ.get("KEY_VALUE_KILLS", "15"))
INCREMENTS = int(os.environ.get("KEY_VALUE_INCREMENTS", "200"))
WRITER = Path(__file__).with_name("key_values_writer.py")
PATIENCE = 600


class Writer:
    """A process of key_values_writer.py, and the numbers that it says were acknowledged."""

    def __init__(self, url: str, kind: str, most: int) -> None:
        command = [sys.executable, str(WRITER), url, kind, str(most)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.writes = 0

    def acknowledged(self, *, at_once: bool = False) -> dict[bytes, int]:
        """Kills it a moment after its first write, or wherever it is; the last number of each key."""
        assert self.process.stdout is not None
        said = "" if at_once else self.process.stdout.readline()
        time.sleep(random.uniform(0, 0.2 if at_once else 0.05))  # noqa: S311 - so that it is hit anywhere
        self.process.kill()
        said += self.process.stdout.read()  # communicate() would not know of what readline() has read
        _, err = self.process.communicate()
        assert err == ""
        lines = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
        self.writes = len(lines)
        return {f"{self.process.pid} {name}".encode(): int(number) for name, number in lines}


def kill(writers: list[Writer]) -> None:
    """Those that a failed test has left."""
    for writer in writers:
        writer.process.kill()
        writer.process.communicate()


def integrity(path: Path) -> None:
    """SQLite's own opinion, and the count of bytes."""
    connection = sqlite3.connect(path)
    try:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
        kept, counted = connection.execute(
            "SELECT (SELECT sum(? + length(key) + length(value)) FROM pairs), sum(used) FROM namespaces",
            (PAIR,),
        ).fetchone()
        assert kept == counted
    finally:
        connection.close()


def missing(url: str, expected: dict[bytes, int]) -> list[bytes]:
    """The keys whose value is older than what was acknowledged, or cut."""

    async def main() -> list[bytes]:
        async with opened(url, quota=QUOTA) as store:
            space = store.namespace("application")
            values = {key: await space.get(key) for key in expected}
            return [key for key, value in values.items() if not is_whole(value, expected[key])]

    return asyncio.run(main())


def is_whole(value: bytes | None, least: int) -> bool:
    """Whether it is what the writer writes, and no older than that number."""
    number, _, rest = (value or b"").partition(b" ")
    return number.isdigit() and int(number) >= least and rest == bytes(int(number) % 5000)


@pytest.mark.timeout(60 + 5 * KILLS)
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Two processes write; one after the other is killed and replaced, sometimes while it opens, or both."""
    path = tmp_path / "state.db"
    url = f"sqlite:///{path}"
    expected: dict[bytes, int] = {}
    kills = writes = 0
    with ExitStack() as stack:
        writers: list[Writer] = []
        stack.callback(kill, writers)
        while kills < KILLS:
            while len(writers) < 2:
                writers.append(Writer(url, "set", kills * 1000))
            for _ in range(2 if kills % 10 == 8 else 1):  # of both, whoever opens next recovers the log
                victim = writers.pop(0)
                expected |= victim.acknowledged(at_once=kills % 7 == 3)
                kills, writes = kills + 1, writes + victim.writes
            if kills % 50 == 0:
                integrity(path)

    assert writes > KILLS
    assert [] == missing(url, expected)
    integrity(path)
    assert ["state.db"] == [each.name for each in tmp_path.iterdir()]
    print(f"{kills} kills, {writes} writes acknowledged, {len(expected)} keys")  # noqa: T201 - of the long form


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a store that several processes can open."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
        return
    with redis_server(tmp_path) as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.mark.timeout(60 + INCREMENTS // 5)
def test_no_increment_is_lost(url: str) -> None:
    """Eight processes count in one key, and the sum is exact."""
    start = time.monotonic()
    writers = [Writer(url, "count", INCREMENTS) for _ in range(8)]
    for writer in writers:
        _, err = writer.process.communicate(timeout=PATIENCE)
        assert (0, "") == (writer.process.returncode, err)

    async def main() -> None:
        async with opened(url) as store:
            counted = await store.namespace("application").get(b"n")
            assert b"%d" % (8 * (INCREMENTS // AT_ONCE) * AT_ONCE) == counted

    asyncio.run(main())
    print(f"{8 * INCREMENTS} increments in {time.monotonic() - start:.1f} s")  # noqa: T201 - see above


def test_a_killed_writer_does_not_stop_the_others(tmp_path: Path) -> None:
    """Whatever it held: the lock of a transaction goes with the process."""
    url = f"sqlite:///{tmp_path}/state.db"

    async def main() -> None:
        async with opened(url, 5.0, quota=QUOTA) as store:
            space = store.namespace("application")
            for turn in range(3):
                Writer(url, "set", turn).acknowledged()
                before = int(await space.get(b"writes") or 0)
                assert before + 1 == await space.increment(b"writes", 1)

    asyncio.run(main())
