"""Both paths through the library, side by side: whatever a guest does, its end is the same on either."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace as replace_fields

from abi.drawn import programs
from abi.programs import (
    ARENA,
    BLANKS,
    EMPTY,
    END,
    GROW,
    HIDDEN,
    KEPT,
    LETTERS,
    NO_NAMES,
    NO_VALUES,
    PAGE,
    PATH,
    SPIN,
    VARIABLES,
    WAIT,
    Program,
    body,
    header,
    keeping,
    of,
    repeated,
    status,
    window,
)
from applications import Host, body_of, request, sent
from paths import COMPILED, NEEDS_COMPILED, PURE, taking
from sandbox import Sandbox, wat
from serverless_wasm import application
from serverless_wasm.abi.base import Grants, Invocation
from serverless_wasm.abi.env import FUNCTIONS, EnvAbi
from serverless_wasm.errors import BadResponse, GuestTrap, HostLimit, InvocationError
from serverless_wasm.events import GuestLogged, InvocationFinished
from serverless_wasm.limits import KIB, MIB, Limits
from serverless_wasm.messages import Body, Headers, Prepared, Response
from serverless_wasm.server.wire import OURS
from serverless_wasm.wasm.capi import ffi, lib
from serverless_wasm.wasm.fast import CompiledSteps
from serverless_wasm.wasm.fiber import Fiber
from serverless_wasm.wasm.linker import LinkedModule, Linker
from serverless_wasm.wasm.plan import Call, Terms

PROGRAMS = int(os.environ.get("PATH_PROGRAMS", "300"))
"""How many are drawn; `PATH_PROGRAMS=20000 scripts/test --timeout 0 -k same_on_both` takes minutes."""
HEADERS = Headers(((b"x-a", b"1"), (b"x-a", b"2")))


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that can be told of a guest afterwards."""

    ended: tuple[object, ...]
    host_calls: int
    memory: bytes = field(repr=False)
    memory_size: int
    logged: tuple[str, ...]


class Path:
    """An engine of its own that takes one of the paths."""

    def __init__(self, path: str) -> None:
        with taking(path):
            self.sandbox = Sandbox(slots=4)
        assert isinstance(self.sandbox.engine.steps, CompiledSteps) == (path == COMPILED)
        self.host = Host(self.sandbox)
        self.abi = EnvAbi(self.sandbox.scheduler, self.sandbox.linker(FUNCTIONS))

    def grants(self, limits: Limits) -> Grants:
        return replace(self.host.grants({}, limits), variables=VARIABLES)

    def link(self, module: bytes, limits: Limits) -> LinkedModule:
        """The program, ready to be run here."""
        return self.abi.link(self.sandbox.compiler.compile(module), "handle", limits, VARIABLES)

    async def outcome(self, linked: LinkedModule, headers: Headers) -> Outcome:
        """Runs the program, as EnvAbi.run does, but that its memory is looked at before it is gone."""
        limits = linked.plan.limits
        given = request(path="/some/path", headers=headers, body=Body.of(b"the body"))
        invocation = Invocation(given, self.grants(limits))
        fiber = Fiber(self.sandbox.engine, linked.plan, invocation)
        fiber.deadline = float("inf")
        self.host.events.clear()
        try:
            ended: tuple[object, ...]
            try:
                await self.sandbox.scheduler.run(fiber)
                ended = said(invocation.response.finish())
            except InvocationError as error:
                ended = type(error), str(error)
            logged = tuple(event.message for event in self.host.events if isinstance(event, GuestLogged))
            return Outcome(ended, fiber.host_calls, memory_of(fiber), fiber.memory_size(), logged)
        finally:
            fiber.close()

    async def answer(self, linked: LinkedModule, headers: Headers) -> tuple[object, ...]:
        """What a client and the log are told; on the compiled path at once, if that can be."""
        program = application.Program(abi=self.abi, linked=linked)
        made = application.Application(program, self.grants(linked.plan.limits), self.sandbox.scheduler)
        self.host.events.clear()
        answer = made.at_once(request(path="/some/path", headers=headers, body=Body.of(b"the body")))
        response = sent(answer) if isinstance(answer, Prepared) else await answer
        fields = [pair for pair in response.headers if pair[0] not in OURS]
        told = [
            replace_fields(event, wall_ms=0.0, cpu_ms=0.0) if isinstance(event, InvocationFinished) else event
            for event in self.host.events
        ]
        assert self.sandbox.scheduler.admission.taken == self.sandbox.engine._lent == 0
        return response.status, response.reason, fields, body_of(response), told

    def close(self) -> None:
        self.host.close()
        self.sandbox.close()


def said(response: Response) -> tuple[object, ...]:
    return response.status, response.reason, tuple(response.headers), body_of(response)


def memory_of(fiber: Fiber) -> bytes:
    """All of the memory, if it is exported, past every check of ours."""
    if not fiber.own.has_memory:
        return b""
    memory = ffi.addressof(fiber.own, "memory", "of", "memory")
    size = lib.wasmtime_memory_data_size(fiber.own.context, memory)
    return bytes(ffi.buffer(lib.wasmtime_memory_data(fiber.own.context, memory), size))


@pytest.fixture(scope="module")
def paths() -> Iterator[tuple[Path, Path]]:
    """The compiled one and the pure one."""
    both = Path(COMPILED), Path(PURE)
    yield both
    for path in both:
        path.close()


def check(paths: tuple[Path, Path], program: Program, requests: Iterable[Headers] = (HEADERS,)) -> Outcome:
    """The program's outcomes are the same on both paths, whatever the request's headers; returns the last."""
    module = wat(program.text)
    compiled, pure = (path.link(module, program.limits) for path in paths)

    async def main() -> Outcome:
        for headers in requests:
            found = await paths[0].outcome(compiled, headers)
            expected = await paths[1].outcome(pure, headers)
            for name in ("ended", "host_calls", "memory_size", "logged"):
                assert getattr(expected, name) == getattr(found, name), f"{name}, headers {headers}"
            assert expected.memory == found.memory, "memory"  # last: to explain a difference takes minutes
            assert await paths[0].answer(compiled, headers) == await paths[1].answer(pure, headers)
        return expected

    return asyncio.run(main())


@NEEDS_COMPILED
def test_programs_end_the_same_on_both_paths(paths: tuple[Path, Path]) -> None:
    """Response or error and its text, host calls, memory, and what was logged, of programs by the hundred."""
    ends: set[object] = set()

    @settings(max_examples=PROGRAMS, suppress_health_check=[HealthCheck.too_slow])
    @given(programs)
    def check_each(program: Program) -> None:
        ends.add(check(paths, program).ended[0])

    check_each()

    assert {BadResponse, GuestTrap, HostLimit} <= ends
    assert len(ends) > 10, "most of them are statuses: the comparison is no empty one"


FIELD = header(of(b"x-a"), of(b"value"))
GET_NOTHING = f"(call $db_get {window(0, 0)} {window(0, 0)})"
BLANK_FIELD = header(of(b"X-B"), window(BLANKS, 300))
CASES = {
    "64 fields": Program(handle=(repeated(FIELD, 64), PATH)),
    "65 fields": Program(handle=(repeated(FIELD, 65), PATH)),
    "as many fields as may be": Program(handle=(repeated(FIELD, 5),), limits=Limits(response_headers=5)),
    "one field more": Program(handle=(repeated(FIELD, 6), PATH), limits=Limits(response_headers=5)),
    "one more than what the door sets itself": Program(
        handle=(repeated(header(of(b"Content-Length"), of(b"value")), 70), FIELD, FIELD),
        limits=Limits(response_headers=2),
    ),
    "a body as large as the arena": Program(handle=(body(window(LETTERS, ARENA)),)),
    "a body that is larger": Program(handle=(body(window(LETTERS, ARENA + 1)), FIELD, body(of(b"value")))),
    "bodies that are larger together": Program(handle=(FIELD, *[body(window(LETTERS, 40 * KIB))] * 2, FIELD)),
    "a field as large as the arena": Program(
        handle=(body(of(b"value")), header(of(b"x-a"), window(LETTERS, ARENA - 3)), FIELD, FIELD),
        limits=Limits(response_header_bytes=MIB),
    ),
    "a body of no bytes": Program(handle=(body(window(END, 0)),)),
    "a body of no bytes past the end": Program(handle=(body(window(END + 1, 0)),)),
    "the longest reason": Program(handle=(status(299, window(LETTERS, 256)),)),
    "a longer reason": Program(handle=(status(299, window(LETTERS, 257)),)),
    "the longest key": Program(handle=(keeping("db_get", f"{window(LETTERS, ARENA)} {window(KEPT, 90)}"),)),
    "a longer key": Program(handle=(keeping("db_get", f"{window(LETTERS, ARENA + 1)} {window(KEPT, 90)}"),)),
    "a key that its own value covers": Program(
        handle=(keeping("db_get", f"{of(b'long')} {window(0, END)}"), FIELD)
    ),
    "the last host call": Program(handle=(FIELD, FIELD), limits=Limits(host_calls=2)),
    "one host call more": Program(handle=(FIELD, FIELD, FIELD, FIELD), limits=Limits(host_calls=2)),
    "fields on both sides of a wait": Program(
        handle=(status(201), FIELD, WAIT, status(202), FIELD, body(of(b"key")), WAIT, body(of(b"keys")))
    ),
    "fields on both sides of a slice": Program(handle=(FIELD, SPIN, FIELD, SPIN, body(of(b"key")))),
    "fields beyond a limit on both sides of a wait": Program(
        handle=(FIELD, WAIT, FIELD, WAIT, FIELD, WAIT), limits=Limits(response_headers=2)
    ),
    "an answer from start and _initialize": Program(
        start=(status(201, of(b"value")), FIELD, WAIT, FIELD),
        initialize=(FIELD, GROW),
        handle=(body(of(b"key")),),
    ),
    "a trap in start": Program(start=(FIELD, "(unreachable)"), handle=(FIELD,)),
    "a refusal in start": Program(start=(FIELD, status(600)), handle=(FIELD,)),
    "memory that grew": Program(
        handle=(body(window(END, 1)),), initialize=(body(window(END - 1, 1)), GROW, FIELD), start=(GROW,)
    ),
    "memory that is asked for too early": Program(handle=(FIELD, body(window(END, 1)), GROW)),
    "memory that grew while it waited": Program(handle=(FIELD, GROW, WAIT, body(window(END + PAGE - 5, 5)))),
    "a trap after an answer": Program(handle=(status(200), FIELD, body(of(b"key")), "(unreachable)")),
    "an answer from a memory without a byte": Program(
        memory=EMPTY, handle=(status(204), body(window(0, 0)), f"(drop {GET_NOTHING})", GROW, PATH)
    ),
    "no header from a memory without a byte": Program(
        memory=EMPTY, handle=(status(204), header(window(0, 0), window(0, 0)))
    ),
    "no memory to tell": Program(handle=(FIELD,), memory=HIDDEN),
    "what only Python counts, then a limit of fields": Program(
        handle=(BLANK_FIELD, FIELD, PATH, PATH), limits=Limits(response_headers=1, response_header_bytes=64)
    ),
    "what only Python counts, then a limit of bytes": Program(
        handle=(
            header(of(b"x-a"), window(LETTERS, 70_000)), header(of(b"X-B"), window(LETTERS, 40_000)), PATH
        ),
        limits=Limits(response_header_bytes=100_000),
    ),
    "what only Python counts, then a limit, then a wait": Program(
        handle=(BLANK_FIELD, FIELD, WAIT, FIELD), limits=Limits(response_headers=1, response_header_bytes=64)
    ),
}  # fmt: skip


WIDE = window(16, 2**32 + 3)
REFUSED = {
    **{f"status {number}": status(number) for number in (0, 199, 600, 65_736, 2**31, 2**32 - 1)},
    **{f"name {name!r}": header(of(name), of(b"value")) for name in NO_NAMES},
    **{f"value {value!r}": header(of(b"x-a"), of(value)) for value in NO_VALUES},
    **{f"reason {value!r}": status(200, of(value)) for value in NO_VALUES},
    "long reason": status(200, window(LETTERS, 257)),
    "wide name": header(WIDE, of(b"value")),
    "wide value": header(of(b"x-a"), WIDE),
    "wide reason": status(200, WIDE),
    "wide body": body(WIDE),
    "wide key": keeping("db_get", f"{WIDE} {of(b'key')}"),
    "wide buffer": keeping("db_get", f"{of(b'key')} {WIDE}"),
}


@NEEDS_COMPILED
@pytest.mark.parametrize("step", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_refused_at_once(paths: tuple[Path, Path], step: str) -> None:
    """No compiled host function leaves that to whoever looks later at what it has noted."""
    outcome = check(paths, Program(handle=(FIELD, step, PATH)))

    assert outcome.ended[0] in {BadResponse, GuestTrap}
    assert outcome.host_calls == 2


AROUND = (b"%cab", b"a%cb", b"ab%c")
PLACED = {
    "name": header(window(KEPT, 3), of(b"value")),
    "value": header(of(b"x-a"), window(KEPT, 3)),
    "reason": status(200, window(KEPT, 3)),
    "key": keeping("db_get", f"{window(KEPT, 3)} {window(KEPT + 2048, 90)}"),
}


@NEEDS_COMPILED
@pytest.mark.parametrize("place", PLACED)
def test_bytes_are_the_same_on_both_paths(paths: tuple[Path, Path], place: str) -> None:
    """Each of the 256 first, in the middle and last: what is refused is refused at once."""
    take = f"(drop (call $request_get_header {of(b'x-a')} {window(KEPT, 3)}))"
    texts = [around % byte for byte in range(256) for around in AROUND]

    check(paths, Program(handle=(take, PLACED[place], PATH)), [Headers(((b"x-a", text),)) for text in texts])


@NEEDS_COMPILED
@pytest.mark.parametrize("program", CASES.values(), ids=CASES)
def test_edges_are_the_same_on_both_paths(paths: tuple[Path, Path], program: Program) -> None:
    """What a drawn program meets but seldom: the sizes in guest.h, and what goes on after something else."""
    check(paths, program)


def test_guests_that_take_turns_have_an_answer_each(host: Host) -> None:
    """What compiled host functions note lies in one place for all guests: no wait hands it to another."""
    answer = f"""(local.set $left (i32.wrap_i64 (call $request_get_path {window(KEPT, 90)})))
      {header(of(b"x-a"), f"(i32.const {KEPT}) (i64.extend_i32_u (local.get $left))")}
      {body(f"(i32.const {KEPT}) (i64.extend_i32_u (local.get $left))")}"""
    application = host.application(Program(handle=(answer, WAIT, answer)).text)

    async def arriving(turns: int) -> AsyncIterator[bytes]:
        for _ in range(turns):
            await asyncio.sleep(0)
            yield b"some"

    async def main() -> None:
        paths = [f"/{'x' * number}{number}" for number in range(40)]
        given = [request(path=path, body=Body(arriving(len(path) % 7))) for path in paths]
        for path, response in zip(paths, await asyncio.gather(*map(application, given)), strict=True):
            own = path.encode()
            assert (200, b"", ((b"x-a", own), (b"x-a", own)), own) == said(response)

    asyncio.run(main())


@NEEDS_COMPILED
def test_ordinary_answers_are_made_without_python() -> None:
    """On the compiled path no host function of ours runs for what is usual, in `start` or time and again."""

    def refuse(*_arguments: object) -> None:
        raise AssertionError("Python was asked")

    with taking(COMPILED):
        room = Sandbox(slots=2)
    host, linker = Host(room), Linker(room.engine, room.scheduler)
    for function in FUNCTIONS:
        linker.define(replace(function, call=refuse))
    first = (status(201, of(b"value")), FIELD, keeping("db_get", f"{of(b'key')} {window(END - 90, 90)}"))
    large = (header(of(b"X-B"), window(LETTERS, 30_000)), body(window(END - 90, 30_000)))
    program = Program(start=first, initialize=(*first, GROW), handle=large)
    terms = Terms(calls=(Call(b"_initialize"), Call(b"handle")), variables=VARIABLES)
    linked = linker.link(room.compiler.compile(wat(program.text)), terms)

    async def main() -> set[tuple[object, ...]]:
        answers: set[tuple[object, ...]] = set()
        for _ in range(5):  # of which three would fill the arena
            invocation = host.invocation(request(), {}, Limits())
            fiber = Fiber(room.engine, linked.plan, invocation)
            fiber.deadline = float("inf")
            try:
                await room.scheduler.run(fiber)
                answers.add((fiber.host_calls, *said(invocation.response.finish())))
            finally:
                fiber.close()
        return answers

    answers = asyncio.run(main())

    host.close()
    room.close()
    fields = ((b"x-a", b"value"), (b"x-a", b"value"), (b"x-b", b"a" * 30_000))
    assert {(8, 201, b"value", fields, VARIABLES[b"key"].ljust(30_000, b"\0"))} == answers
