"""Host functions of components, called by real guests: what crosses, what waits, what ends a guest."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox import Sandbox
from serverless_wasm.abi.wasi_http import interface
from serverless_wasm.abi.wasi_http.interface import ANSWERS, Err, Ok, Refusal, Resource, function
from serverless_wasm.abi.wasi_http.world import FIRST, Handles
from serverless_wasm.errors import DeadlineExceeded, GuestTrap, HostLimit, InvocationError, LinkError
from serverless_wasm.limits import Limits
from serverless_wasm.wasm.components.blueprint import (
    Builtin,
    Options,
)
from serverless_wasm.wasm.components.linking import ComponentLinker
from serverless_wasm.wasm.components.types import BOOL, S32, S64, STRING, U32, U64, Result
from serverless_wasm.wasm.plan import Terms
from wasm.components.rooms import BASE, Room, World, component, see


@pytest.fixture
def room(sandbox: Sandbox) -> Room:
    """On each path through the library."""
    return Room(sandbox)


async def later(_world: World) -> Any:
    await asyncio.sleep(0)
    return Ok("late")


async def never(_world: World) -> Any:
    await asyncio.sleep(60)


async def refuses_later(_world: World) -> Any:
    await asyncio.sleep(0)
    raise Refusal("no")


def refuses(_world: World) -> Any:
    raise Refusal("no")


SEE = function("see", see, ("text", STRING))
ANSWER = Result(STRING, STRING)
SHOW = """(import "host" "see" (func $see (param i32 i32)))
  (func $show (call $see (i32.load (i32.const 4)) (i32.load (i32.const 8))))"""


@pytest.mark.parametrize(
    ("call", "waits", "seen"),
    [
        (lambda _: Ok("now"), False, "now"),
        (lambda _: Ok("now"), True, "now"),
        (later, True, "late"),
        (refuses, False, "no"),
        (refuses, True, "no"),
        (refuses_later, True, "no"),
        (lambda _: Err("x" * 40_000), False, "x" * 40_000),
    ],
)
def test_an_answer_of_two_kinds(room: Room, call: Any, seen: str, *, waits: bool) -> None:
    """A text reaches the guest's memory through its allocator, whether the function waits or refuses."""
    linked = room.link(
        [SEE, function("ask", call, gives=ANSWER, waits=waits)],
        f"""(import "host" "ask" (func $ask (param i32))) {SHOW} {BASE}
        (func (export "handle") (call $ask (i32.const 0)) (call $show))""",
    )
    for _ in range(2):
        assert [seen] == room.run(linked).seen


def test_numbers(room: Room) -> None:
    """Integers arrive and leave with their own signs and widths."""
    shown = function("shown", see, ("a", S32), ("b", U32), ("c", S64), ("d", U64), ("e", BOOL))
    linked = room.link(
        [
            shown,
            function("u32", lambda _: 2**32 - 1, gives=U32),
            function("u64", lambda _: 2**64 - 1, gives=U64),
            function("s64", lambda _: -2, gives=S64, waits=True),
            function("bool", lambda _: True, gives=BOOL),
        ],
        """(import "host" "shown" (func $shown (param i32 i32 i64 i64 i32)))
        (import "host" "u32" (func $u32 (result i32))) (import "host" "u64" (func $u64 (result i64)))
        (import "host" "s64" (func $s64 (result i64))) (import "host" "bool" (func $bool (result i32)))
        (func (export "handle")
          (call $shown (call $u32) (call $u32) (call $s64) (call $u64) (call $bool)))""",
        options=Options(),
    )
    assert [(-1, 2**32 - 1, -2, 2**64 - 1, True)] == room.run(linked).seen


def test_more_arguments_than_are_passed_flat(room: Room) -> None:
    """Beyond sixteen they lie in memory, where their pointer says."""
    many = function("many", see, *((f"p{at}", U32) for at in range(17)))
    linked = room.link(
        [many],
        f"""(import "host" "many" (func $many (param i32))) {BASE}
        (data (i32.const 64) "\\01\\00\\00\\00\\02")
        (func (export "handle") (call $many (i32.const 64)))""",
    )
    assert [(1, 2, *(0,) * 15)] == room.run(linked).seen


@pytest.mark.parametrize(
    ("start", "says"), [(65_536, "memory_bounds"), (2, "no multiple"), (2**32 - 4, "memory_bounds")]
)
@pytest.mark.parametrize("waits", [False, True])
def test_a_place_for_the_answer_that_is_none(room: Room, start: int, says: str, *, waits: bool) -> None:
    """The guest ends, whether its function has waited or not."""
    linked = room.link(
        [function("ask", lambda _: Ok("now"), gives=ANSWER, waits=waits)],
        f"""(import "host" "ask" (func $ask (param i32))) {BASE}
        (func (export "handle") (call $ask (i32.const {start - 2**32 if start >= 2**31 else start})))""",
    )
    with pytest.raises(GuestTrap, match=says):
        room.run(linked)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("(loop (br 0)) (unreachable)", "realloc takes too long"),
        ("(unreachable)", "unreachable"),
        ("(i32.const -8)", "memory_bounds"),
        ("(call $see (i32.const 0) (i32.const 0)) (i32.const 8)", "within realloc"),
        ("(call 2 (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))", "stack"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
def test_an_allocator_that_misbehaves(room: Room, body: str, says: str, *, waits: bool) -> None:
    """It ends its guest, soon, and the next guest is none the worse."""
    linked = room.link(
        [SEE, function("ask", later if waits else lambda _: Ok("now"), gives=ANSWER, waits=waits)],
        f"""(import "host" "ask" (func $ask (param i32))) (import "host" "see" (func $see (param i32 i32)))
        (memory (export "memory") 1)
        (func (export "realloc") (param i32 i32 i32 i32) (result i32) {body})
        (func (export "handle") (call $ask (i32.const 0)))""",
    )
    for _ in range(3):
        with pytest.raises(InvocationError, match=says):
            room.run(linked)


def test_an_allocator_that_is_no_function(room: Room) -> None:
    """The guest ends."""
    linked = room.link(
        [function("ask", lambda _: Ok("now"), gives=ANSWER)],
        """(import "host" "ask" (func $ask (param i32))) (memory (export "memory") 1)
        (global (export "realloc") i32 (i32.const 0)) (func (export "handle") (call $ask (i32.const 0)))""",
    )
    with pytest.raises(GuestTrap, match="no such realloc"):
        room.run(linked)


def test_the_host_is_called_before_there_is_an_instance(room: Room) -> None:
    """In `start` numbers cross, but what needs an allocator ends the guest."""
    seen = room.link(
        [function("shown", see, ("a", U32))],
        f"""(import "host" "shown" (func $shown (param i32))) {BASE} (start 2)
        (func (call $shown (i32.const 7))) (func (export "handle"))""",
    )
    assert [7] == room.run(seen).seen
    for waits in (False, True):
        linked = room.link(
            [function("ask", later if waits else lambda _: Ok("now"), gives=ANSWER, waits=waits)],
            f"""(import "host" "ask" (func $ask (param i32))) {BASE} (start 2)
            (func (call $ask (i32.const 0))) (func (export "handle"))""",
        )
        with pytest.raises(GuestTrap, match="before there is an instance"):
            room.run(linked)


def test_a_guest_without_memory(room: Room) -> None:
    """Whatever would need one ends it."""
    for waits in (False, True):
        linked = room.link(
            [function("ask", later if waits else lambda _: Ok("now"), gives=ANSWER, waits=waits)],
            """(import "host" "ask" (func $ask (param i32)))
            (func (export "handle") (call $ask (i32.const 0)))""",
            options=Options(),
        )
        with pytest.raises(GuestTrap, match="memory"):
            room.run(linked)


def test_deadline_and_host_calls(room: Room) -> None:
    """Both hold in functions of components, too."""
    waits = room.link(
        [function("wait", never, waits=True)],
        """(import "host" "wait" (func $wait)) (func (export "handle") (call $wait))""",
    )
    with pytest.raises(DeadlineExceeded):
        room.run(waits, Limits(timeout=0.05))
    calls = room.link(
        [function("call", lambda _: None)],
        """(import "host" "call" (func $call)) (func (export "handle") (loop (call $call) (br 0)))""",
    )
    with pytest.raises(HostLimit, match="more than 100"):
        room.run(calls, Limits(host_calls=100))


def test_a_fault_of_the_host(room: Room) -> None:
    """It ends the one guest, and is told as it is."""

    async def fails(_world: World) -> None:
        raise ZeroDivisionError

    def fails_now(_world: World) -> None:
        raise ZeroDivisionError

    for call, waits in ((fails, True), (fails_now, True), (fails_now, False)):
        linked = room.link(
            [function("fail", call, waits=waits)],
            """(import "host" "fail" (func $fail)) (func (export "handle") (call $fail))""",
        )
        with pytest.raises(ZeroDivisionError):
            room.run(linked)


def test_resources_of_its_own(room: Room) -> None:
    """A component's own resource has the number that it was made with, until it is dropped."""
    text = """(import "host" "new" (func $new (param i32) (result i32)))
        (import "host" "rep" (func $rep (param i32) (result i32)))
        (import "host" "drop" (func $drop (param i32))) (import "host" "shown" (func $shown (param i32)))
        (global $h (mut i32) (i32.const 0))
        (func (export "handle") (global.set $h (call $new (i32.const 77))) (call $shown (global.get $h))
          (call $shown (call $rep (global.get $h))) (call $drop (global.get $h)) %s)"""
    functions: list[interface.Function | Builtin] = [
        Builtin("new", "#0"), Builtin("rep", "#0"), Builtin("drop", "#0"), function("shown", see, ("a", U32)),
    ]  # fmt: skip

    assert [FIRST, 77] == room.run(room.link(functions, text % "")).seen
    for more in (
        "(call $drop (global.get $h))",
        "(drop (call $rep (global.get $h)))",
        "(call $drop (i32.const -1))",
    ):
        with pytest.raises(GuestTrap, match="is none"):
            room.run(room.link(functions, text % more))


def test_several_modules(room: Room) -> None:
    """They are made in order, share one memory, and may be called in turn; what waits, waits."""
    linked = room.link(
        [SEE, function("ask", later, gives=ANSWER, waits=True)],
        f'{BASE} (table (export "table") 2 funcref)',
        """(import "host" "ask" (func $ask (param i32))) (import "host" "see" (func $see (param i32 i32)))
        (import "0" "table" (table 2 funcref)) (import "0" "memory" (memory 1))
        (elem (i32.const 0) $ask $show)
        (func $show (call $see (i32.load (i32.const 4)) (i32.load (i32.const 8))))""",
        """(import "0" "table" (table 2 funcref)) (type $ask (func (param i32))) (type $show (func))
        (func (export "handle")
          (call_indirect (type $ask) (i32.const 0) (i32.const 0))
          (call_indirect (type $show) (i32.const 1)))""",
    )
    for _ in range(3):
        assert ["late"] == room.run(linked).seen


def test_several_modules_that_fail(room: Room) -> None:
    """A trap, a busy loop and a lost function end the guest wherever they are."""
    for text, kind in (
        ("(start 0) (func (unreachable))", GuestTrap),
        ("(start 0) (func (loop (br 0)))", DeadlineExceeded),
        ('(global (export "handle") i32 (i32.const 0))', GuestTrap),
    ):
        linked = room.link([], BASE, text)
        with pytest.raises(kind):
            room.run(linked, Limits(timeout=0.05))


def test_several_modules_that_do_not_fit(room: Room) -> None:
    """An export that is not there is told, though the engine takes no component that has one."""
    linked = room.link([], BASE, '(import "0" "nothing" (func)) (func (export "handle"))')
    with pytest.raises(GuestTrap, match="lacks an export"):
        room.run(linked)


def test_what_is_not_offered(room: Room) -> None:
    """Every reason is told at once."""
    functions = [function("one", see, ("a", U32)), function("two", see, ("a", U32))]
    made, _ = component(room.sandbox, functions, '(func (export "handle"))')
    (entry,) = made.blueprint.exports
    linker = ComponentLinker(room.sandbox.scheduler, room.core, ANSWERS)
    with pytest.raises(LinkError, match="one is not offered; two is not offered"):
        linker.link(made, lambda wanted: f"{wanted.name} is not offered", entry, Terms())


def test_a_resource_has_a_table() -> None:
    """Handles are numbers, used again; what depends on another is dropped first."""

    class Parent(Resource):
        name = "a"

    class Child(Resource):
        name = "b"

    handles, parent = Handles(), Parent()
    child = Child(parent)

    assert (3, 4) == (handles.add(parent), handles.add(child))
    with pytest.raises(GuestTrap, match="before what was made of it"):
        handles.drop(3, "a")
    with pytest.raises(GuestTrap, match="is of b, not a"):
        handles.drop(4, "a")
    handles.drop(4, "b")
    assert handles.add(Child()) == 4
    handles.drop(3, "a")
    with pytest.raises(GuestTrap, match="is none"):
        handles.get(3, "a")
