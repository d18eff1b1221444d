"""Eight tenants at once, each with secrets, each failing its own way: nothing of one reaches another.

`CROSSING_SECONDS=60 scripts/test -s --timeout 0 -k crossing` runs each for that long (THREATS S11, G31).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
import uvloop

from sandbox import Sandbox
from serverless_wasm.events import InternalFault
from serverless_wasm.wasm.linker import HostFunction, Kind
from zoo.cards import Guest, read_all
from zoo.checks import check_answer, ending
from zoo.grounds import Grounds, grounds

SECONDS = float(os.environ.get("CROSSING_SECONDS", "2"))
TENANTS = 8
HOSTILE = (
    "g03-lookup-loop", "g10-recursion-with-host-calls", "g16-injection", "g19-many-headers",
    "g23-in-the-response", "g30-silence", "g31-divides-by-zero", "g36-hunts-for-secrets",
)  # fmt: skip
FAILURES: tuple[type[BaseException], ...] = (
    asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, MemoryError, OSError, RecursionError,
    SystemExit, TimeoutError, ValueError,
)  # fmt: skip
MODULE = """(module
  (import "env" "fail" (func $fail (param i32 i64)))
  (import "env" "fail_later" (func $later (param i32 i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "fail") (call $fail (i32.const 0) (i64.const 1)))
  (func (export "fail_later") (drop (call $later (i32.const 0) (i64.const 1)))))"""


class Tenant:
    """What host functions work for here: they raise, with a secret of the tenant's in the text."""

    def __init__(self, number: int, turn: int) -> None:
        kind = FAILURES[(number + turn) % len(FAILURES)]
        self.failure = kind(f"secret of tenant {number}, turn {turn}")

    def fail(self, _window: object) -> None:
        """Raises at once."""
        raise self.failure

    async def fail_later(self, _window: object) -> int:
        """Raises after a wait, in which the others run."""
        await asyncio.sleep(0)
        raise self.failure


async def for_each_tenant(turns: Callable[[int], Awaitable[None]]) -> int:
    """Lets eight tenants take turns until the time is over; how many they were."""
    end, taken = asyncio.get_running_loop().time() + SECONDS, count()

    async def tenant(number: int) -> None:
        while asyncio.get_running_loop().time() < end:
            next(taken)
            await turns(number)

    await asyncio.gather(*map(tenant, range(TENANTS)))
    return next(taken)


@pytest.mark.parametrize("function", [b"fail", b"fail_later"], ids=bytes.decode)
def test_no_exception_of_a_host_function_is_crossing(sandbox: Sandbox, function: bytes) -> None:
    """Each tenant gets its own exception back, the very object, whatever kind it is."""
    functions = [
        HostFunction("fail", (Kind.WINDOW,), None, Tenant.fail),
        HostFunction("fail_later", (Kind.WINDOW,), "i64", Tenant.fail_later, waits=True),
    ]
    linked, turn = sandbox.link(MODULE, *functions), count()

    async def fail(number: int) -> None:
        tenant = Tenant(number, next(turn))
        with pytest.raises(type(tenant.failure)) as caught:
            await sandbox.run(linked, function, owner=tenant)
        assert caught.value is tenant.failure

    turns = uvloop.run(for_each_tenant(fail))

    print(f"{turns} exceptions of {TENANTS} tenants")  # noqa: T201 - pytest -s shows it


def test_no_secret_and_no_error_text_is_crossing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer and every record is its own guest's; no secret of a variable, header or body is in any."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    guests = [guest for guest in read_all() if guest.name in HOSTILE]
    assert TENANTS == len(guests)

    async def visit(room: Grounds, guest: Guest) -> None:
        for visit in guest.visits:
            answer, events = await room.ask(guest, visit)
            assert visit.ending == ending(answer, events)
            check_answer(visit, answer, events)
            assert {guest.name} == {getattr(event, "application", guest.name) for event in events}

    async def main() -> int:
        async with grounds(tmp_path, guests) as room:
            turns = await for_each_tenant(lambda number: visit(room, guests[number]))
            await room.settled()
            assert not any(isinstance(event, InternalFault) for event in room.events)
            assert "canary" not in str(room.logged())
            return turns

    turns = uvloop.run(main())

    print(f"{turns} turns of {TENANTS} tenants")  # noqa: T201 - pytest -s shows it
