"""The pair of sockets between supervisor and worker, of which one end may have been taken over."""

from __future__ import annotations

import asyncio
import json
import pickle
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configurations import application, configuration
from serverless_wasm.processes.channel import (
    REPORT_LIMIT,
    Channel,
    Commit,
    Discard,
    Order,
    Prepare,
    Report,
    Stop,
    Withdraw,
)
from serverless_wasm.release import Part, Release
from serverless_wasm.wasm.artifacts import Artifact
from serverless_wasm.wasm.binary import Beginning

CONFIG = configuration(Path("/c"), application("a", env={"KEY": "value"}), application("b"))
ARTIFACT = Artifact(digest="0" * 64, begins=Beginning(65536, 0), imports_memory=False)
PARTS = (
    Part(config=CONFIG.applications[0], number=1, artifact=ARTIFACT),
    Part(config=CONFIG.applications[1], number=2, error="is not there"),
)
ORDERS = [
    Prepare(release=Release(configuration=CONFIG, parts=PARTS), own_addresses=("127.0.0.1:80",)),
    Commit(),
    Commit(frozenset({"a"})),
    Discard(),
    Withdraw(frozenset({"a", "b"})),
    Stop(1.5),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
REPORTS = st.builds(
    lambda **fields: json.dumps(fields).encode(), error=JSON, broken=JSON, notices=JSON, slots=JSON
)
GOOD = {"error": "", "broken": {}, "notices": [], "slots": 1}


def talk(conversation: Callable[[Channel, Channel], Awaitable[None]]) -> None:
    """Runs a conversation of two ends."""

    async def main() -> None:
        one, other = [await Channel.open(sock) for sock in socket.socketpair()]
        try:
            await conversation(one, other)
        finally:
            one.close()
            other.close()
            await asyncio.sleep(0)  # the transports close in the next turn

    asyncio.run(main())


def heard(data: bytes) -> Report:
    """What is made of these bytes, after which the worker has gone."""

    async def main() -> Report:
        ours, theirs = socket.socketpair()
        channel = await Channel.open(ours)
        sender = await asyncio.to_thread(lambda: Sender(theirs, data))
        try:
            return await channel.next_report()
        finally:
            channel.close()
            await asyncio.to_thread(sender.join)

    return asyncio.run(main())


class Sender(Thread):
    """Sends bytes and hangs up, however little of them is read."""

    def __init__(self, sock: socket.socket, data: bytes) -> None:
        super().__init__()
        self._sock = sock
        self._data = data
        self.start()

    def run(self) -> None:
        with self._sock, suppress(OSError):
            self._sock.sendall(self._data)


def framed(payload: bytes) -> bytes:
    """A message as it goes over the socket."""
    return struct.pack("!I", len(payload)) + payload


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: type(order).__name__)
def test_orders_arrive_as_they_were(order: Order) -> None:
    """Every order, and in their order."""

    async def conversation(one: Channel, other: Channel) -> None:
        await one.order(order)
        await one.order(Stop(0))
        assert order == await other.next_order()
        assert Stop(0) == await other.next_order()

    talk(conversation)


def test_a_large_order_arrives() -> None:
    """Ten thousand applications do not fit the buffers of the sockets."""
    names = frozenset(f"{number:0100}" for number in range(10_000))

    async def conversation(one: Channel, other: Channel) -> None:
        _, order = await asyncio.gather(one.order(Withdraw(names)), other.next_order())
        assert Withdraw(names) == order

    talk(conversation)


def test_reports_arrive_as_they_were() -> None:
    """All that a report can say."""
    report = Report(error="no", broken={"a": "is gone"}, notices=("one", "two"), slots=7)

    async def conversation(one: Channel, other: Channel) -> None:
        await other.report(report)
        await other.report(Report())
        assert report == await one.next_report()
        assert Report() == await one.next_report()

    talk(conversation)


def test_an_end_that_hangs_up_is_heard_by_the_other() -> None:
    """On both sides, and in words for the log."""

    async def conversation(one: Channel, other: Channel) -> None:
        other.close()
        with pytest.raises(EOFError, match="the other process has gone"):
            await one.next_report()
        one.close()
        with pytest.raises(EOFError):
            await other.next_order()

    talk(conversation)


@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()) | REPORTS)
def test_whatever_a_worker_says_is_a_report_or_its_end(payload: bytes) -> None:
    """Not JSON, other JSON, other types: nothing but EOFError, and only printable text."""
    try:
        report = heard(framed(payload))
    except EOFError:
        return

    texts = (report.error, *report.broken, *report.broken.values(), *report.notices)
    assert all(text.isprintable() for text in texts)
    assert type(report.slots) is int


@given(st.binary(max_size=64))
def test_bytes_without_a_frame_are_the_end_or_a_report(data: bytes) -> None:
    """Cut off anywhere, any length before it."""
    try:
        heard(data)
    except EOFError:
        return
    raise AssertionError("64 bytes are too few for a report")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("!I", REPORT_LIMIT + 1) + bytes(1000),
        struct.pack("!I", 2**32 - 1),
        framed(b"[" * 1_000_000),
        framed(b'{"error":' * 100_000),
        framed(json.dumps(GOOD).encode().replace(b'""', b"[" * 5000 + b"]" * 5000)),
        framed(b"9" * 10_000),
        framed(json.dumps(GOOD | {"slots": True}).encode()),
        framed(json.dumps(GOOD | {"slots": 1e400}).encode()),
        framed(json.dumps(GOOD).encode())[:-1],
        framed(pickle.dumps(Report())),
        framed(b"\xff\xfe" + json.dumps(GOOD).encode()),
    ],
    ids=[
        "long",
        "longest",
        "deep",
        "deeper",
        "deep inside",
        "number",
        "bool",
        "inf",
        "cut",
        "pickle",
        "utf16",
    ],
)
def test_hostile_reports_are_the_end(data: bytes) -> None:
    """Too large, too deep, cut off, another language."""
    with pytest.raises(EOFError):
        heard(data)


def test_texts_are_made_printable() -> None:
    """A worker cannot write to the operator's terminal, nor a log line of its own."""
    hostile = "\x1b[2J\n\ud800\u202e"
    fields: dict[str, Any] = {
        "error": hostile,
        "broken": {hostile: hostile},
        "notices": [hostile],
        "slots": 1,
    }

    report = heard(framed(json.dumps(fields).encode()))

    texts = (report.error, *report.broken, *report.broken.values(), *report.notices)
    assert 4 == len(texts)
    assert all(text.isprintable() for text in texts)
