"""Programs that write to places of stores: what is kept when they end well, and what when they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from abi.scripts import HEAD, command
from applications import Host, request
from serverless_wasm.events import StoreRefused
from serverless_wasm.limits import KIB, Limits
from serverless_wasm.messages import Response
from serverless_wasm.storage.files.stores import Files, Place
from storage.backends import Backend, backend, files
from storage.gated import gated

WASI = '(import "wasi_snapshot_preview1" '
OPEN = f'{WASI}"path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))'
RESIZE = f'{WASI}"fd_filestat_set_size" (func $resize (param i32 i64) (result i32)))'
CLOSE = f'{WASI}"fd_close" (func $close (param i32) (result i32)))'
EXIT = "(call $exit (i32.const {}))"
CREATE, EXCLUSIVE, READ, WRITE = 1, 4, 2, 64
ROFS, FBIG, DQUOT, SUCCESS = 69, 22, 19, 0


def opening(body: str, *texts: bytes, how: int = CREATE, rights: int = WRITE) -> str:
    """A program that opens `file` in its first place, and then runs `body`; `$tell` prints an errno.

    `$fd` is the file's descriptor.
    """
    script = command(
        f"""(local $fd i32) (local $errno i32)
        (local.set $errno (call $open (i32.const 3) (i32.const 0) (i32.const 1024) (i32.const 4)
          (i32.const {how}) (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 8)))
        (local.set $fd (i32.load (i32.const 8)))
        {body}""",
        b"file",
        HEAD,
        *texts,
    )
    tell = """(func $tell (param $errno i32)
      (i32.store8 (i32.const 512) (local.get $errno))
      (call $write (i32.const 1) (i32.const 512) (i32.const 1)))"""
    return script.replace("(module ", f"(module {OPEN} {RESIZE} {CLOSE} ", 1)[:-1] + f"{tell})"


WRITES = "(call $text_2 (local.get $fd)) "
LEAVES_IT_OPEN = f"(call $text_1 (i32.const 1)) {WRITES}"


@pytest.fixture(params=["memory", "disk", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """What keeps the files."""
    return backend(request.param, request, tmp_path)


def answered(
    host: Host, module: str, place: Place, limits: Limits | None = None
) -> tuple[Response, list[str]]:
    """What a program answers that has the place, and what is there afterwards."""

    async def main() -> tuple[Response, list[str]]:
        async with files(place, limits=limits or Limits(store_timeout=20)) as granted:
            application = host.application(module, files=granted, limits=limits or Limits(timeout=60))
            return await application(request()), await granted.list(b"/data/", 1000)

    return asyncio.run(main())


def outcomes(host: Host) -> list[str]:
    """Of all invocations."""
    return [record.outcome for record in host.finished]


def told(host: Host) -> list[str]:
    """What the log says of stores."""
    return [event.reason for event in host.events if isinstance(event, StoreRefused)]


@pytest.mark.parametrize("end", ["", EXIT.format(0)])
def test_a_program_that_ends_well_keeps_what_it_left_open(host: Host, store: Backend, end: str) -> None:
    """By returning, or by exit 0; the next request reads it."""
    module = opening(LEAVES_IT_OPEN + end, b"content")
    reads = opening(
        """(call $text_1 (i32.const 1))
        (i32.store (i32.const 0) (i32.const 4096)) (i32.store (i32.const 4) (i32.const 100))
        (drop (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
        (call $write (i32.const 1) (i32.const 4096) (i32.load (i32.const 8)))""",
        how=0,
        rights=READ,
    )
    place = store.place()

    async def main() -> list[bytes | Any]:
        async with files(place) as granted:
            made = [
                host.application(each, files=granted, limits=Limits(timeout=60)) for each in (module, reads)
            ]
            return [(await application(request())).body for application in made]

    assert [b"", b"content"] == asyncio.run(main())
    assert (["ok", "ok"], []) == (outcomes(host), told(host))


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (EXIT.format(1), "exit"),
        ("(unreachable)", "trap"),
        ("(loop (br 0))", "cpu"),
        ("(call $sleep (i64.const 60000000000))", "deadline"),
    ],
)
def test_a_program_that_fails_keeps_nothing(host: Host, tmp_path: Path, end: str, outcome: str) -> None:
    """However it ends; a file that it closed before is kept."""
    module = opening(WRITES + end, b"content")
    limits = Limits(timeout=1 if outcome == "deadline" else 60, cpu=0.3, store_timeout=20)

    response, kept = answered(host, module, Place(name="/data", where=tmp_path, write=True), limits)

    assert (500 if outcome in {"exit", "trap"} else 504, []) == (response.status, kept)
    assert ([outcome], []) == (outcomes(host), told(host))
    closed = opening(WRITES + f"(drop (call $close (local.get $fd))) {end}", b"content")
    assert ["/data/file"] == answered(host, closed, Place(name="/data", where=tmp_path, write=True), limits)[
        1
    ]


@pytest.mark.parametrize(
    ("more", "body", "answers", "reason"),
    [
        ({"write": False}, "(call $tell (local.get $errno))", [ROFS], "may only be read"),
        (
            {"quota": 8 * KIB},
            """(call $tell (call $resize (local.get $fd) (i64.const 9000)))
            (call $tell (call $close (local.get $fd)))""",
            [SUCCESS, DQUOT],
            "no room",
        ),
        (
            {},
            """(call $tell (call $resize (local.get $fd) (i64.const 10001)))
            (call $tell (call $resize (local.get $fd) (i64.const 10000)))
            (call $tell (call $close (local.get $fd)))""",
            [FBIG, SUCCESS, SUCCESS],
            "file_size",
        ),
    ],
    ids=["read-only", "quota", "file_size"],
)
def test_what_is_refused(
    host: Host, store: Backend, more: dict[str, Any], body: str, answers: list[int], reason: str
) -> None:
    """The program is told by an errno, and the log once."""
    limits = Limits(file_size=10_000, timeout=60, store_timeout=20)
    response, kept = answered(
        host, opening(f"(call $text_1 (i32.const 1)) {body}"), store.place(**more), limits
    )

    assert bytes(answers) == response.body
    assert (["ok"], 1) == (outcomes(host), len(told(host)))
    assert reason in told(host)[0]
    assert (["/data/file"] if reason == "file_size" else []) == kept


def test_what_cannot_be_kept_at_the_end(host: Host, store: Backend) -> None:
    """Is a failure of the request: the client must not believe that it is there."""
    module = opening("(call $text_1 (i32.const 1)) (drop (call $resize (local.get $fd) (i64.const 9000)))")

    response, kept = answered(host, module, store.place(quota=8 * KIB))

    assert (500, [], ["unsaved"]) == (response.status, kept, outcomes(host))
    assert 1 == len(told(host))
    assert "no room" in host.finished[0].detail


def at_a_gate(host: Host, path: Path, limits: Limits, close: Callable[[Any], None]) -> tuple[Response, bool]:
    """The answer of a program that leaves a file open, in a store that fails; whether that is kept."""

    async def main() -> tuple[Response, bool]:
        async with gated(path) as (keeper, tree):
            close(keeper)
            module = opening(LEAVES_IT_OPEN, b"content")
            granted = Files({b"/data": tree})
            response = await host.application(module, files=granted, limits=limits)(request())
            keeper.failing, keeper.closed = set(), set()
            return response, bool(await tree.names(""))

    return asyncio.run(main())


def test_a_store_that_is_down_at_the_end(host: Host, tmp_path: Path) -> None:
    """The outcome says so, and the log why."""
    response, kept = at_a_gate(host, tmp_path, Limits(), lambda keeper: keeper.failing.add("write"))

    assert (500, False, ["unsaved"]) == (response.status, kept, outcomes(host))
    assert ["the store is down"] == told(host)


def test_a_store_that_does_not_answer_at_the_end(host: Host, tmp_path: Path) -> None:
    """The deadline of the invocation is its end, whatever it waits for."""
    limits = Limits(timeout=0.5, store_timeout=60)
    response, kept = at_a_gate(host, tmp_path, limits, lambda keeper: keeper.closed.add("write"))

    assert (504, False, ["deadline"]) == (response.status, kept, outcomes(host))


def test_a_file_that_another_was_faster_to_make(host: Host, tmp_path: Path) -> None:
    """One that had to be new is not put in the other's place at the end."""
    module = opening(LEAVES_IT_OPEN, b"content", how=CREATE | EXCLUSIVE)

    async def main() -> Response:
        async with gated(tmp_path) as (keeper, tree):
            keeper.closed = {"write"}
            application = host.application(module, files=Files({b"/data": tree}))
            running = asyncio.create_task(application(request()))
            await keeper.waited.wait()
            (tmp_path / "file").write_bytes(b"of another")
            keeper.opened.set()
            return await running

    assert (500, ["unsaved"]) == (asyncio.run(main()).status, outcomes(host))
    assert b"of another" == (tmp_path / "file").read_bytes()
