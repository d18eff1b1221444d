"""Hostile bytes: each in every place of a head, and every prefix and flipped bit of a module."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from sandbox import wat
from serverless_wasm.events import ApplicationBroken, InternalFault, InvocationFinished
from zoo.cards import Guest, Visit, read_all
from zoo.grounds import Grounds, grounds

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
TEXT = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110 section 5.5
SMALL = wat("""(module
  (import "env" "response_set_body" (func (param i32 i64)))
  (import "env" "request_get_query" (func (param i32 i64) (result i64)))
  (memory (export "memory") 1) (data (i32.const 0) "hello")
  (func (export "handle") (local i64)
    (local.set 0 (call 1 (i32.const 64) (i64.const 9)))
    (loop (br_if 0 (i64.ne (local.tee 0 (i64.sub (local.get 0) (i64.const 1))) (i64.const -1))))
    (call 0 (i32.const 0) (i64.const 5))))""")
OUTCOMES = {"ok", "trap", "stack", "oom", "host_limit", "bad_response", "deadline", "cpu", "link"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def texts() -> Iterator[bytes]:
    """Each byte at the beginning, in the middle and at the end of a text."""
    for byte in range(256):
        for before, after in ((b"", b"ab"), (b"a", b"b"), (b"ab", b"")):
            yield before + bytes([byte]) + after


@pytest.mark.parametrize("place", ["n", "v", "r"], ids=["name", "value", "reason"])
def test_no_byte_of_a_guest_splits_a_response(tmp_path: Path, place: str) -> None:
    """What RFC 9110 allows arrives as it is, the rest is a bad response; the next answer is in its place."""
    (guest,) = (guest for guest in read_all() if guest.name == "g16-injection")

    async def ask(room: Grounds, text: bytes) -> None:
        answer, events = await room.ask(guest, Visit(query=place, body=text))
        (record,) = (event for event in events if isinstance(event, InvocationFinished))
        allowed = (TOKEN if place == "n" else TEXT).fullmatch(text)
        assert (record.status, record.outcome) == ((200, "ok") if allowed else (500, "bad_response")), text
        assert record.status == answer.status
        names = {name for name, _ in answer.headers} - {
            b"content-length",
            b"content-type",
            b"date",
            b"server",
        }
        if not allowed:
            assert not names
        elif place == "r":
            assert (text, set()) == (answer.reason, names)
        else:
            (name,) = names
            assert (text.lower(), b"x") == (name, answer.header(name)) if place == "n" else b"x" == name
        if allowed and place == "v":
            assert text.strip(b" \t") == answer.header(b"x")

    async def main() -> None:
        async with grounds(tmp_path, [guest]) as room:
            for text in texts():
                await ask(room, text)
            await room.settled()
            room.logged()

    uvloop.run(main())


def mutants() -> Iterator[Guest]:
    """Every prefix of a small module, and the module with each of its bits flipped."""
    whole = Guest(name="whole", rows=("G33",), module=SMALL, limits='timeout = "100ms", memory = "1MiB"')
    for size in range(len(SMALL)):
        yield replace(whole, name=f"cut-{size}", module=SMALL[:size])
    for bit in range(8 * len(SMALL)):
        flipped = bytearray(SMALL)
        flipped[bit // 8] ^= 1 << bit % 8
        yield replace(whole, name=f"flipped-{bit}", module=bytes(flipped))


def test_mutants_are_refused_or_end_as_guests_do(tmp_path: Path) -> None:
    """No prefix and no flipped bit does more than end its own request; each has one record and a reason."""

    async def main() -> None:
        async with grounds(tmp_path, mutants()) as room:
            assert not any(isinstance(event, InternalFault) for event in room.events)
            broken = {
                event.application: event.reason
                for event in room.events
                if isinstance(event, ApplicationBroken)
            }
            for guest in room.guests:
                _, events = await room.ask(guest, Visit())
                (record,) = (event for event in events if isinstance(event, InvocationFinished))
                assert (record.outcome == "link") == bool(broken.get(guest.name)), guest
                assert record.outcome in OUTCOMES
            assert not any(isinstance(event, InternalFault) for event in room.events)
            assert len(SMALL) // 2 < len([name for name in broken if name.startswith("cut")])
            await room.settled()
            room.logged()

    asyncio.run(main())
