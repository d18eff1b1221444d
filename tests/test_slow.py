"""Slow clients against the real program with short limits: who goes, and who stays (scripts/slow-clients)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import uvloop

from server.doors import Client
from soak.attackers import KINDS, Outcome, Plan, attack
from soak.canary import Good, asking
from soak.served import Served
from soak.slow import AT_ONCE, MODULES, TABLES, disconnects

SERVER = """[server]
workers = 0
header_timeout = "1s"
body_timeout = "1s"
write_timeout = "1s"
connections = 300
"""
SLOW = ("silent", "heads", "bytes", "bodies", "chunks", "unread", "readers")
PLAN = Plan(number=30, seconds=30, pause=0.1)


async def steadily(port: int, stop: asyncio.Event) -> int:
    """Sends a body at a modest pace until it is told to end it; the status of the answer."""
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    try:
        await client.send(b"POST /hello HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not stop.is_set():
            await client.send(b"40\r\n" + bytes(64) + b"\r\n")
            await asyncio.sleep(0.05)
        return (await client.ask(b"0\r\n\r\n")).status
    finally:
        client.close()


def test_slow_clients_go_and_good_ones_stay(tmp_path: Path) -> None:
    """Every slow client of every kind is closed while a steady one still sends, and good answers go on."""

    async def main() -> None:
        with Served(tmp_path, MODULES, TABLES + SERVER) as served:
            good, stop = Good(), asyncio.Event()
            steady = asyncio.create_task(steadily(served.port, stop))
            async with asking(served.port, good):
                attacks = [asyncio.to_thread(attack, served.port, KINDS[kind], PLAN) for kind in SLOW]
                outcomes: list[Outcome] = await asyncio.gather(*attacks)
            assert not steady.done()
            stop.set()
            for kind, outcome in zip(SLOW, outcomes, strict=True):
                assert (kind, 30, 30) == (kind, outcome.opened, len(outcome.lasted))
            assert (0, "") == (good.wrong, good.what)
            assert good.milliseconds
            assert 200 == await steady
            assert not [
                r for r in served.records() if r["event"] in {"internal_fault", "clients_turned_away"}
            ]

    uvloop.run(main())


def test_a_crowd_of_idle_clients_keeps_nobody_out(tmp_path: Path) -> None:
    """Twice as many as may be connected: the good ones are let in, and the log says it once or twice."""

    async def main() -> None:
        with Served(tmp_path, MODULES, TABLES + SERVER.replace("300", "50")) as served:
            good, plan = Good(), Plan(number=100, seconds=3, pause=0.1)
            async with asking(served.port, good):
                outcome = await asyncio.to_thread(attack, served.port, KINDS["kept"], plan)
            assert (100, 0, "") == (outcome.opened, good.wrong, good.what)
            assert len(outcome.lasted) >= 50
            told = [record for record in served.records() if record["event"] == "clients_turned_away"]
            assert 1 <= len(told) <= 2
            assert (50, 0, 0) == (told[0]["limit"], told[0]["refused"], told[0]["cut"])

    uvloop.run(main())


def test_guests_end_with_their_clients(tmp_path: Path) -> None:
    """All clients leave at once, and each guest is cancelled; none is forgotten."""

    async def main() -> None:
        with Served(tmp_path, MODULES, TABLES + "[server]\nworkers = 0\n") as served:
            before = served.held
            assert 100 == len(await disconnects(served, 100, AT_ONCE))
            assert before.descriptors == served.held.descriptors

    uvloop.run(main())
