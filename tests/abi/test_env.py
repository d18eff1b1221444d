"""The seed's contract, one paragraph of docs/abi/env.md after the other, seen from inside a guest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from applications import HELLO, Host, body_of, request
from serverless_wasm.abi.env import FUNCTIONS
from serverless_wasm.errors import LinkError, UnknownAbi
from serverless_wasm.events import ConnectionRefused, GuestLogged
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Body, Headers, Request, Response
from serverless_wasm.wasm.linker import HostFunction

ALL = {function.name: function for function in FUNCTIONS}


def imports(*names: str) -> str:
    return "".join(declare(ALL[name]) for name in names)


def declare(function: HostFunction) -> str:
    params, results = " ".join(function.type.params), " ".join(function.type.results)
    return f'(import "env" "{function.name}" (func ${function.name} (param {params}) (result {results})))'


def guest(names: str, data: str, body: str) -> str:
    """A module that imports `names`, has `data` at 0, and `body` as its handle."""
    return f"""(module {imports(*names.split())} (memory (export "memory") 4) (data (i32.const 0) "{data}")
      (func (export "handle") (local $n i64) (local $fd i32) {body}))"""


def ask(host: Host, module: str, given: Request | None = None, **config: Any) -> Response:
    return asyncio.run(host.application(module, **config)(given or request()))


def echo(call: str) -> str:
    """A handle that answers with the window at 1024 that `call` filled, `$n` bytes long."""
    return f"""(local.set $n {call})
      (if (i64.lt_s (local.get $n) (i64.const 0)) (then (local.set $n (i64.const 0))
        (call $response_set_status_line (i32.const 404) (i32.const 0) (i64.const 0))))
      (call $response_set_body (i32.const 1024) (local.get $n))"""


ECHO = "response_set_body response_set_status_line"


def test_body_without_status_is_200(host: Host) -> None:
    """The least that a guest can say."""
    response = ask(host, HELLO)

    assert (200, b"", b"hello") == (response.status, response.reason, body_of(response))
    assert ["ok"] == [record.outcome for record in host.finished]


def test_nothing_set_is_500(host: Host) -> None:
    """A guest that forgets to answer is a bad_response."""
    response = ask(host, guest("log", "", ""))

    assert response.status == 500
    assert ["bad_response"] == [record.outcome for record in host.finished]


def test_last_call_wins_but_headers_add_up(host: Host) -> None:
    """Status, reason and body of the last call; every header, in order, duplicates too."""
    response = ask(
        host,
        guest(
            "response_set_status_line response_set_header response_set_body",
            "OneTwox-a1x-a2",
            """(call $response_set_status_line (i32.const 201) (i32.const 0) (i64.const 3))
            (call $response_set_header (i32.const 6) (i64.const 3) (i32.const 9) (i64.const 1))
            (call $response_set_body (i32.const 0) (i64.const 3))
            (call $response_set_status_line (i32.const 202) (i32.const 3) (i64.const 3))
            (call $response_set_header (i32.const 10) (i64.const 3) (i32.const 13) (i64.const 1))
            (call $response_set_body (i32.const 3) (i64.const 3))""",
        ),
    )

    assert (202, b"Two", b"Two") == (response.status, response.reason, body_of(response))
    assert [(b"x-a", b"1"), (b"x-a", b"2")] == list(response.headers)


def test_framing_is_not_the_guests_business(host: Host) -> None:
    """A length that the guest states, wrong or right, goes no further than the membrane."""
    response = ask(
        host,
        guest(
            "response_set_header response_set_body",
            "Content-Length-1",
            """(call $response_set_header (i32.const 0) (i64.const 14) (i32.const 14) (i64.const 2))
            (call $response_set_body (i32.const 0) (i64.const 3))""",
        ),
    )

    assert [] == list(response.headers)


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 999, 1000, 65536 + 200, 2**31, 2**32 - 1])
def test_status_out_of_range_is_refused(host: Host, status: int) -> None:
    """No wrap-around of 16 bits, no informational statuses."""
    response = ask(
        host,
        guest(
            "response_set_status_line",
            "",
            f"(call $response_set_status_line (i32.const {status}) (i32.const 0) (i64.const 0))",
        ),
    )

    assert (500, "bad_response") == (response.status, host.finished[0].outcome)


@pytest.mark.parametrize("place", ["name", "value", "reason"])
def test_no_byte_can_end_a_line(host: Host, place: str) -> None:
    """Each of the 256 bytes first, in the middle and last: a control character is refused everywhere."""
    module = guest(
        "response_set_status_line response_set_header request_get_header",
        "xreason",
        """(local.set $n (call $request_get_header (i32.const 0) (i64.const 1) (i32.const 8) (i64.const 3)))
        (call $response_set_header
          (i32.const {name}) (i64.const {name_size}) (i32.const {value}) (i64.const 3))
        (call $response_set_status_line (i32.const 200) (i32.const {reason}) (i64.const 3))""".format(
            name=8 if place == "name" else 0,
            name_size=3 if place == "name" else 1,
            value=8 if place == "value" else 1,
            reason=8 if place == "reason" else 1,
        ),
    )
    application = host.application(module)

    async def main() -> set[int]:
        passed: set[int] = set()
        for byte in range(256):
            char = bytes([byte])
            for text in (char + b"ab", b"a" + char + b"b", b"ab" + char):
                response = await application(request(headers=Headers(((b"x", text),))))
                if response.status == 200:
                    passed.add(byte)
        return passed

    passed = asyncio.run(main())

    assert not passed & {0, 10, 13, 27, 127}
    visible = set(range(33, 127))
    assert visible <= passed if place != "name" else passed < visible


BUFFER = "(i32.const 1024) (i64.const 100)"
KEYED = "(i32.const 0) (i64.const {}) " + BUFFER
REQUEST = request(
    method="PUT",
    path="/users/müller",
    query="q=%20&b",
    headers=Headers(((b"x-a", b"1"), (b"accept", b"*/*"), (b"x-a", b"2"))),
    params={"id": "müller", "...": "/rest"},
)


@pytest.mark.parametrize(
    ("name", "data", "call", "status", "expected"),
    [
        ("request_get_method", "", BUFFER, 200, b"PUT"),
        ("request_get_path", "", BUFFER, 200, "/users/müller".encode()),
        ("request_get_query", "", BUFFER, 200, b"q=%20&b"),
        ("request_get_header", "X-a", KEYED.format(3), 200, b"1, 2"),
        ("request_get_header", "x-b", KEYED.format(3), 404, b""),
        ("request_get_param", "id", KEYED.format(2), 200, "müller".encode()),
        ("request_get_param", "...", KEYED.format(3), 200, b"/rest"),
        ("request_get_param", "no", KEYED.format(2), 404, b""),
        ("db_get", "key", KEYED.format(3), 200, b"value"),
        ("db_get", "KEY", KEYED.format(3), 404, b""),
    ],
)  # fmt: skip
def test_guest_reads_its_request_and_variables(
    host: Host, name: str, data: str, call: str, status: int, expected: bytes
) -> None:
    """The value, or -1 when there is none; header names have no case, keys do."""
    response = ask(
        host, guest(f"{ECHO} {name}", data, echo(f"(call ${name} {call})")), REQUEST, env={"key": "value"}
    )

    assert (status, expected) == (response.status, body_of(response))


def test_short_buffer_gets_what_fits_and_the_full_length(host: Host) -> None:
    """As in 2018: the length first, with a buffer of size zero at a dangling pointer, then the value."""
    response = ask(
        host,
        guest(
            f"{ECHO} db_get",
            "key",
            """(local.set $n (call $db_get (i32.const 0) (i64.const 3) (i32.const 1) (i64.const 0)))
            (drop (call $db_get (i32.const 0) (i64.const 3) (i32.const 1024) (i64.const 4)))
            (call $response_set_body (i32.const 1024) (local.get $n))""",
        ),
        env={"key": "value"},
    )

    assert body_of(response) == b"valu\0"


def test_body_is_waited_for_and_read_in_pieces(host: Host) -> None:
    """The guest runs before the body is here, and reads it from any offset, past its end too."""
    logged, arrived = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        logged.set()
        yield b"first "
        await arrived.wait()
        yield b"second"

    module = guest(
        "log response_set_body request_get_body",
        "up",
        """(call $log (i32.const 0) (i64.const 2))
        (local.set $n (call $request_get_body (i64.const 6) (i32.const 1024) (i64.const 3)))
        (drop (call $request_get_body (i64.const 9) (i32.const 1027) (i64.const 100)))
        (drop (call $request_get_body (i64.const -1) (i32.const 1027) (i64.const 1)))
        (call $response_set_body (i32.const 1024) (i64.sub (local.get $n) (i64.const 6)))""",
    )

    async def main() -> Response:
        task = asyncio.create_task(host.application(module)(request(body=Body(chunks()))))
        await logged.wait()
        arrived.set()
        return await task

    assert body_of(asyncio.run(main())) == b"second"


def test_body_over_the_limit_is_413(host: Host) -> None:
    """Declared too large it never reaches the guest; found too large it ends it."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 100

    module = guest(
        "response_set_body request_get_body",
        "",
        "(drop (call $request_get_body (i64.const 0) (i32.const 0) (i64.const 0)))",
    )
    limits = Limits(request_body=1000)

    declared = ask(host, module, request(body=Body(endless(), 1001)), limits=limits)
    found = ask(host, module, request(body=Body(endless())), limits=limits)

    assert [413, 413] == [declared.status, found.status]
    assert [0, 1] == [record.host_calls for record in host.finished]


@pytest.mark.parametrize(
    ("limits", "body", "text"),
    [
        (Limits(response_body=4), "(call $response_set_body (i32.const 0) (i64.const 5))", "response_body"),
        (
            Limits(response_headers=2),
            "(loop (call $response_set_header (i32.const 0) (i64.const 1) (i32.const 0) (i64.const 1)) br 0)",
            "response_headers",
        ),
        (
            Limits(response_header_bytes=100),
            "(call $response_set_header (i32.const 0) (i64.const 1) (i32.const 0) (i64.const 100))",
            "response_header_bytes",
        ),
        (Limits(host_calls=9), "(loop (call $log (i32.const 0) (i64.const 1)) (br 0))", "host_calls"),
    ],
)
def test_budgets_end_the_guest(host: Host, limits: Limits, body: str, text: str) -> None:
    """Each is its own limit, named in the record."""
    module = guest("log response_set_body response_set_header", "x" * 200, body)

    response = ask(host, module, limits=limits)

    assert (500, "host_limit") == (response.status, host.finished[0].outcome)
    assert text in host.finished[0].detail


def test_log_is_one_record_each_and_the_flood_is_counted(host: Host) -> None:
    """Lines beyond the quota are dropped, and the invocation's record says how many."""
    module = guest(
        "log response_set_body",
        r"a\0ab\ff",
        """(loop (call $log (i32.const 0) (i64.const 4))
          (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get $fd) (i32.const 10))))
        (call $response_set_body (i32.const 0) (i64.const 0))""",
    )

    ask(host, module, limits=Limits(log_lines=3))

    logged = [event.message for event in host.events if isinstance(event, GuestLogged)]
    assert [r"a\nb" + "\ufffd"] * 3 == logged
    assert host.finished[0].log_dropped == 7


def test_random_and_clock(host: Host) -> None:
    """Random bytes fill exactly the window; the clock is in whole milliseconds since 1970."""
    module = guest(
        "random_get clock_now_ms response_set_body",
        "",
        """(call $random_get (i32.const 8) (i64.const 32)) (i64.store (i32.const 0) (call $clock_now_ms))
        (call $response_set_body (i32.const 0) (i64.const 48))""",
    )

    first, second = (body_of(ask(host, module)) for _ in range(2))

    assert first[8:40] != second[8:40]
    assert bytes(8) == first[40:]
    assert 1_700_000_000_000 < int.from_bytes(first[:8], "little") < 4_000_000_000_000


CONNECT = "tcp_connect tcp_read tcp_write tcp_close response_set_body"


def test_guest_talks_to_a_backend_and_the_loop_goes_on(host: Host) -> None:
    """Connect, write, wait, read, end of stream, close: with a server that answers late."""
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        await release.wait()
        writer.write(line.upper())
        writer.close()
        await writer.wait_closed()

    async def main() -> Response:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            backend = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            module = guest(
                CONNECT,
                backend + "ping\\0a",
                f"""(local.set $fd (call $tcp_connect (i32.const 0) (i64.const {len(backend)})))
                (drop (call $tcp_write (local.get $fd) (i32.const {len(backend)}) (i64.const 5)))
                (local.set $n (call $tcp_read (local.get $fd) (i32.const 1024) (i64.const 100)))
                (local.set $n (i64.add (local.get $n)
                  (call $tcp_read (local.get $fd) (i32.const 1029) (i64.const 100))))
                (drop (call $tcp_close (local.get $fd)))
                (local.set $n (i64.sub (local.get $n) (i64.extend_i32_s (call $tcp_close (local.get $fd)))))
                (call $response_set_body (i32.const 1024) (local.get $n))""",
            )
            application = host.application(module, env={"backend": backend})
            task = asyncio.create_task(application(request()))
            hello = await host.application(HELLO)(request())
            assert body_of(hello) == b"hello"
            release.set()
            return await task

    # 5 bytes, 0 at the end of the stream, and -1 for the second close: a length of 6
    assert body_of(asyncio.run(main())) == b"PING\n\0"


def test_refused_connection_teaches_the_line_that_would_allow_it(host: Host) -> None:
    """-1 for the guest, one event for the operator."""
    module = guest(
        CONNECT,
        "127.0.0.1:6379",
        """(i32.store (i32.const 1024) (call $tcp_connect (i32.const 0) (i64.const 14)))
        (call $response_set_body (i32.const 1024) (i64.const 4))""",
    )

    response = ask(host, module)

    assert body_of(response) == b"\xff\xff\xff\xff"
    refused = [event for event in host.events if isinstance(event, ConnectionRefused)]
    assert ["127.0.0.1:6379"] == [event.target for event in refused]
    assert 'allowed_outbound_hosts = ["tcp://127.0.0.1:6379"]' in refused[0].remedy


def test_descriptors_are_the_invocations_own(host: Host) -> None:
    """Numbers that were never given, the process's own among them, are -1."""
    module = guest(
        CONNECT,
        "",
        """(loop
          (local.set $n (i64.add (local.get $n) (call $tcp_read (local.get $fd) (i32.const 0) (i64.const 1))))
          (local.set $n
            (i64.add (local.get $n) (call $tcp_write (local.get $fd) (i32.const 0) (i64.const 1))))
          (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get $fd) (i32.const 1000))))
        (local.set $n (i64.add (local.get $n) (call $tcp_read (i32.const -1) (i32.const 0) (i64.const 1))))
        (call $response_set_body (i32.const 0) (i64.sub (i64.const 0) (local.get $n)))""",
    )

    assert len(body_of(ask(host, module))) == 2001


def test_imported_memory_works_as_exported(host: Host) -> None:
    """Guests of 2018 import `env.memory` with the limits that they state."""
    module = HELLO.replace('(memory (export "memory") 1)', "").replace(
        "(module", '(module (import "env" "memory" (memory 1))'
    )

    assert body_of(ask(host, module)) == b"hello"


def test_reactor_is_initialised_before_each_call(host: Host) -> None:
    """`_initialize` runs once in each fresh instance."""
    module = HELLO.replace(
        "(func (export",
        '(func (export "_initialize") (i32.store8 (i32.const 0) (i32.const 74))) (func (export',
    )
    application = host.application(module)

    async def main() -> list[bytes]:
        return [body_of(await application(request())) for _ in range(2)]

    assert [b"Jello"] * 2 == asyncio.run(main())


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            '(module (import "env" "nope" (func)) (func (export "handle")))',
            r"env\.nope \(\) -> \(\) is not offered",
        ),
        (
            '(module (import "env" "log" (func (param i32 i32))) (func (export "handle")))',
            r"env\.log \(i32 i32\) -> \(\) must be imported as \(i32 i64\) -> \(\)",
        ),
        ('(module (func (export "hello")) (func (export "other")))', "write one of: hello, other"),
        ('(module (func (export "handle") (param i32)))', r"handle\" is \(i32\) -> \(\), not"),
        ('(module (memory (export "handle") 1))', r"exports no function \(\) -> \(\)"),
        ('(module (func (export "memory")) (func (export "handle")))', "not a memory"),
        (
            '(module (memory (export "memory") 2000) (func (export "handle")))',
            "beyond the application's limit",
        ),
        (
            '(module (import "env" "g" (global i32)) (func (export "handle")))',
            r"env\.g global is not offered",
        ),
        (
            r'(module (import "env" "a\0a\1b[2J" (func)) (import "env" "b" (func)) (func (export "handle")))',
            r"env\.a\\n\\x1b\[2J .*; env\.b",
        ),
    ],
)
def test_what_does_not_fit_is_refused_when_loaded(host: Host, module: str, text: str) -> None:
    """Every mismatch in one sentence, with names made safe."""
    with pytest.raises(LinkError, match=text) as caught:
        host.application(module)
    assert str(caught.value).isprintable()


def test_strange_imports_have_no_abi(host: Host) -> None:
    """The error names the import modules that are not known."""
    with pytest.raises(UnknownAbi, match="wasi_unstable"):
        host.application('(module (import "wasi_unstable" "fd_write" (func)) (func (export "handle")))')
