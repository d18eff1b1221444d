"""Guests that answer before there is an invocation: what nobody may notice of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from applications import Host, body_of, request, sent
from paths import COMPILED, NEEDS_COMPILED, taking
from sandbox import Sandbox
from serverless_wasm.abi.env import FUNCTIONS
from serverless_wasm.abi.request_text import READERS
from serverless_wasm.events import InvocationFinished
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Body, Headers, Prepared, Response
from serverless_wasm.server.wire import OURS
from serverless_wasm.wasm import fast

pytestmark = NEEDS_COMPILED

_GUEST = """(module
  (import "env" "response_set_status_line" (func $status (param i32 i32 i64)))
  (import "env" "response_set_header" (func $header (param i32 i64 i32 i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "log" (func $log (param i32 i64)))
  (import "env" "tcp_connect" (func $connect (param i32 i64) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "All rightX-Onetwo  date")
  (func (export "handle") {}))"""
_STATUS = "(call $status (i32.const 201) (i32.const 0) (i64.const 9))"
_HEADER = "(call $header (i32.const 9) (i64.const 5) (i32.const 14) (i64.const 5))"
_DATE = "(call $header (i32.const 19) (i64.const 4) (i32.const 14) (i64.const 3))"
_BODY = "(call $body (i32.const 9) (i64.const 5))"
_LOG = "(call $log (i32.const 9) (i64.const 5))"
_LARGE = "(call $body (i32.const 0) (i64.const 65537))"
_CONNECT = "(drop (call $connect (i32.const 0) (i64.const 3)))"
_BUSY = """(local $left i32) (local.set $left (i32.const 40000000))
  (loop (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))"""
AT_ONCE = {
    "a status": _STATUS,
    "a header": _HEADER,
    "an empty body": "(call $body (i32.const 0) (i64.const 0))",
    "all": _STATUS + _HEADER + _HEADER + _BODY,
    "two bodies": _BODY + "(call $body (i32.const 0) (i64.const 3))",
    "the most": "(call $body (i32.const 0) (i64.const 65536))",
}
NOT_AT_ONCE = {
    "nothing": "",
    "no body by its status": "(call $status (i32.const 204) (i32.const 0) (i64.const 0))" + _BODY,
    "a header of the door's": _DATE + _BODY,
    "a large body": _LARGE,
    "a line for the log": _LOG + _BODY,
    "the line last": _STATUS + _HEADER + _BODY + _LOG,
    "a wait": _HEADER + _CONNECT + _BODY,
    "a trap": _BODY + "unreachable",
    "a value that is none": "(call $header (i32.const 9) (i64.const 5) (i32.const 60) (i64.const 3))",
    "a slice": _BUSY + _BODY,
}


_READER = """(module
  (import "env" "request_get_method" (func $method (param i32 i64) (result i64)))
  (import "env" "request_get_path" (func $path (param i32 i64) (result i64)))
  (import "env" "request_get_query" (func $query (param i32 i64) (result i64)))
  (import "env" "request_get_header" (func $header (param i32 i64 i32 i64) (result i64)))
  (import "env" "request_get_param" (func $param (param i32 i64 i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "hostx-oneX-TWOx-TwoidID")
  (func $say (param $size i64)
    (i64.store (i32.const 992) (local.get $size)) (call $body (i32.const 992) (i64.const 96)))
  (func (export "handle") (call $say (call {}))))"""
READS = {
    "the method": "$method (i32.const 1000) (i64.const 9)",
    "the path": "$path (i32.const 1000) (i64.const 80)",
    "the query": "$query (i32.const 1000) (i64.const 80)",
    "a part of it": "$path (i32.const 1000) (i64.const 3)",
    "its size": "$path (i32.const 65536) (i64.const 0)",
    "a header": "$header (i32.const 0) (i64.const 4) (i32.const 1000) (i64.const 80)",
    "a part of one": "$header (i32.const 0) (i64.const 4) (i32.const 1000) (i64.const 1)",
    "one in capitals": "$header (i32.const 9) (i64.const 5) (i32.const 1000) (i64.const 80)",
    "one in some": "$header (i32.const 14) (i64.const 5) (i32.const 1000) (i64.const 80)",
    "a parameter": "$param (i32.const 19) (i64.const 2) (i32.const 1000) (i64.const 80)",
    "no parameter": "$param (i32.const 21) (i64.const 2) (i32.const 1000) (i64.const 80)",
    "none": "$header (i32.const 0) (i64.const 3) (i32.const 1000) (i64.const 80)",
    "none without a name": "$header (i32.const 0) (i64.const 0) (i32.const 1000) (i64.const 80)",
    "a name that names nothing": "$header (i32.const 0) (i64.const 65535) (i32.const 1000) (i64.const 80)",
    "the last": "$header (i32.const 4) (i64.const 5) (i32.const 65530) (i64.const 6)",
}
READS_IN_PYTHON = {
    "outside": "$path (i32.const 65530) (i64.const 7)",
    "a name outside": "$header (i32.const 65536) (i64.const 1) (i32.const 1000) (i64.const 80)",
    "none, outside": "$header (i32.const 0) (i64.const 3) (i32.const 65537) (i64.const 0)",
    "beyond all": "$query (i32.const 0) (i64.const -1)",
}
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {
        "path": "/some/pläce",
        "query": "a=1&b=\xff",
        "headers": Headers(((b"host", b"a"), (b"x-one", b"123456"))),
    },
    "two": {"headers": Headers(((b"x-two", b"1"), (b"host", b""), (b"x-two", b"2")))},
    "none": {"method": "PATCH"},
    "parameters": {"params": {"id": "7\xff", "rest": "/a/b"}},
    "a parameter with a NUL": {"params": {"id": "7\0"}},
    "a header with a NUL": {"headers": Headers(((b"host", b"a\0b"), (b"x-two", b"\xff")))},
}


@pytest.fixture
def host() -> Iterator[Host]:
    with taking(COMPILED):
        sandbox = Sandbox(slots=4)
    made = Host(sandbox)
    yield made
    made.close()
    sandbox.close()


def ended(host: Host, response: Response) -> tuple[Any, ...]:
    """All that client and log are told, but for the times."""
    records = [
        replace(e, wall_ms=0.0, cpu_ms=0.0) if isinstance(e, InvocationFinished) else e for e in host.events
    ]
    host.events.clear()
    assert host.sandbox.scheduler.admission.taken == host.sandbox.scheduler.admission.committed == 0
    assert host.sandbox.engine._lent == 0
    fields = tuple(pair for pair in response.headers if pair[0] not in OURS)
    return response.status, response.reason, fields, body_of(response), records


@pytest.mark.parametrize("name", [*AT_ONCE, *NOT_AT_ONCE])
def test_it_ends_as_with_an_invocation(host: Host, name: str) -> None:
    """Response and records are the same, and so they are the second time."""
    made = host.application(_GUEST.format({**AT_ONCE, **NOT_AT_ONCE}[name]))._made  # type: ignore[attr-defined]

    async def main() -> None:
        for _ in range(3):
            answer = made.at_once(request())
            assert isinstance(answer, Prepared) == (name in AT_ONCE)
            found = ended(host, sent(answer) if isinstance(answer, Prepared) else await answer)
            assert ended(host, await made(request())) == found

    asyncio.run(main())


@pytest.mark.parametrize("asked", REQUESTS)
@pytest.mark.parametrize("name", [*READS, *READS_IN_PYTHON])
def test_it_reads_what_python_would_tell(host: Host, name: str, asked: str) -> None:
    """Each part of the request, at any size, whatever the application was asked before."""
    text = _READER.replace("{}", {**READS, **READS_IN_PYTHON}[name])
    made = host.application(text)._made  # type: ignore[attr-defined]
    has_nul = "NUL" in asked
    is_many = asked == "two" and name in {"one in capitals", "one in some"}

    async def main() -> None:
        for given in (REQUESTS["plain"], REQUESTS[asked], REQUESTS["none"], REQUESTS[asked]):
            answer = made.at_once(request(**given))
            if given is REQUESTS[asked]:
                assert isinstance(answer, Prepared) == (name in READS and not has_nul and not is_many)
            found = ended(host, sent(answer) if isinstance(answer, Prepared) else await answer)
            assert ended(host, await made(request(**given))) == found

    asyncio.run(main())


def test_each_reader_is_compiled() -> None:
    """And no other function that gives something, but one that asks nothing of the request."""
    giving = {each.name for each in FUNCTIONS if each.compiled and each.result}
    assert {*READERS, "db_get"} == giving


def test_what_it_needs_is_as_before(host: Host) -> None:
    """A body that is still to come, a rate, an application out of service: nothing begins early."""
    text = _GUEST.format(_BODY)

    async def main() -> None:
        application = host.application(text)
        application.withdrawn = True
        assert 503 == (await application(request())).status
        counted = host.application(text, limits=Limits(rate=1))
        assert [200, 429] == [(await counted(request())).status for _ in range(2)]

        async def chunks() -> Any:
            yield b"late"

        assert 413 == (await host.application(text)(request(body=Body(chunks(), 2**40)))).status
        small = host.application(text, limits=Limits(request_body=3))
        assert [200, 413] == [(await small(request(body=Body.of(data)))).status for data in (b"123", b"1234")]

    asyncio.run(main())


def test_a_full_house_makes_it_wait(host: Host) -> None:
    """With no slot free it queues, as any request does."""
    text = _GUEST.format(_BODY)

    async def main() -> None:
        application = host.application(text, limits=Limits(queue=0))
        admission = host.sandbox.scheduler.admission
        admission.taken = admission.slots
        assert 503 == (await application(request())).status
        admission.taken = 0
        assert 200 == (await application(request())).status

    asyncio.run(main())


def test_the_names_that_the_door_sets_are_written_alike() -> None:
    """fast.c leaves them to Python, which leaves them out."""
    source = (Path(fast.__file__).parent / "fast.c").read_text(encoding="ascii")
    (words,) = re.findall(r'ours\[\] = ((?:\s*"[^"]*")+);', source)
    assert {name.encode() for name in re.sub(r'["\s]', "", words).strip("|").split("|")} == OURS
