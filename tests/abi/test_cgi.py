"""CGI programs: what they are told, what becomes of what they print, and how they end (docs/abi/cgi.md)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from abi.scripts import HEAD, TELLS, command, printing
from applications import Host, body_of, request
from sandbox import Sandbox
from server.doors import until
from serverless_wasm.abi.stream import PIPE
from serverless_wasm.errors import InvocationError, UnknownAbi
from serverless_wasm.events import GuestLogged
from serverless_wasm.limits import KIB, MIB, Limits
from serverless_wasm.messages import Body, Headers, Request, Response, Streaming
from serverless_wasm.storage.mounts import Mount, Mounts

SECOND = 1_000_000_000
NAP = f"(call $sleep (i64.const {SECOND // 100}))"
"""Lets what was written so far go out."""
FLOOD = command(
    "(call $text_0 (i32.const 1))"
    "(loop (call $write (i32.const 1) (i32.const 4096) (i32.const 65536)) (br 0))",
    HEAD,
)
"""Never stops writing."""


def answered(host: Host, module: str, given: Request | None = None, **granted: Any) -> Response:
    """The response of a command to one request."""
    return asyncio.run(host.application(module, **granted)(given or request()))


def told(response: Response) -> tuple[list[bytes], dict[bytes, bytes], bytes]:
    """Arguments, environment and body that TELLS was given."""
    arguments, environment, body = body_of(response).split(b"\0\0\0")
    pairs = (pair.partition(b"=") for pair in environment.split(b"\0"))
    return arguments.split(b"\0"), {name: value for name, _, value in pairs}, body


def logged(host: Host) -> list[str]:
    """What guests have logged."""
    return [event.message for event in host.events if isinstance(event, GuestLogged)]


def test_a_command_is_recognised_and_its_output_is_the_response(host: Host) -> None:
    """Without being told: `_start`, and nothing but imports of WASI."""
    response = answered(host, printing(b"Status: 201 Made\nContent-Type: text/plain\n\nhel", b"lo"))

    assert (201, b"Made", b"hello") == (response.status, response.reason, body_of(response))
    assert [(b"content-type", b"text/plain")] == list(response.headers)
    assert ["ok"] == [record.outcome for record in host.finished]


def test_a_command_is_told_of_its_request(host: Host) -> None:
    """RFC 3875 section 4.1, and what WAGI adds."""
    fields = ((b"host", b"Example.org:8443"), (b"accept", b"a"), (b"accept", b"b"), (b"content-type", b"x/y"))
    given = request(
        method="POST",
        path="/files/a b",
        query="one&two+2&c=d",
        scheme="https",
        host="example.org",
        client="192.0.2.7:1234",
        headers=Headers(fields),
        params={"id": "7", "...": "a b"},
        body=Body.of(b"body"),
    )

    arguments, environment, body = told(answered(host, TELLS, given, route="/files/..."))

    assert [b"/files", b"one", b"two+2", b"c=d"] == arguments
    assert b"body" == body
    assert {
        b"AUTH_TYPE": b"",
        b"CONTENT_LENGTH": b"4",
        b"CONTENT_TYPE": b"x/y",
        b"GATEWAY_INTERFACE": b"CGI/1.1",
        b"HTTP_ACCEPT": b"a, b",
        b"HTTP_CONTENT_TYPE": b"x/y",
        b"HTTP_HOST": b"Example.org:8443",
        b"PATH_INFO": b"/a b",
        b"PATH_TRANSLATED": b"/a b",
        b"QUERY_STRING": b"one&two+2&c=d",
        b"REMOTE_ADDR": b"192.0.2.7",
        b"REMOTE_HOST": b"192.0.2.7",
        b"REMOTE_USER": b"",
        b"REQUEST_METHOD": b"POST",
        b"SCRIPT_NAME": b"/files",
        b"SERVER_NAME": b"example.org",
        b"SERVER_PORT": b"8443",
        b"SERVER_PROTOCOL": b"HTTP/1.1",
        b"SERVER_SOFTWARE": b"serverless-wasm",
        b"X_BASE_PATH": b"/",
        b"X_CLIENT_ADDR": b"192.0.2.7:1234",
        b"X_COMPONENT_ROUTE": b"/files",
        b"X_FULL_URL": b"https://Example.org:8443/files/a%20b?one&two+2&c=d",
        b"X_MATCHED_ROUTE": b"/files/...",
        b"X_PATH_MATCH_ID": b"7",
        b"X_RAW_COMPONENT_ROUTE": b"/files/...",
        b"X_RAW_PATH_INFO": b"/a%20b",
    } == environment


def test_the_operators_arguments_take_the_place_of_the_query(host: Host) -> None:
    """As they were written."""
    response = answered(host, TELLS, request(query="a&b"), arguments=("-c", "print 1"))

    assert [b"/", b"-c", b"print 1"] == told(response)[0]


def test_credentials_and_proxy_settings_are_kept_back(host: Host) -> None:
    """RFC 3875 section 4.1.18; and HTTP_PROXY is what libraries obey (CVE-2016-5385)."""
    names = (b"authorization", b"proxy-authorization", b"proxy", b"connection", b"x-a")
    response = answered(host, TELLS, request(headers=Headers(tuple((name, b"secret") for name in names))))

    assert {b"HTTP_X_A"} == {name for name in told(response)[1] if name.startswith(b"HTTP_")}


def test_the_operators_variables_win(host: Host) -> None:
    """Over any of the same name."""
    application = host.application(TELLS, env={"REMOTE_USER": "me", "GREETING": "hi"})

    environment = told(asyncio.run(application(request())))[1]

    assert (b"me", b"hi") == (environment[b"REMOTE_USER"], environment[b"GREETING"])


def test_a_body_that_is_still_arriving_is_whole_for_the_command(host: Host) -> None:
    """Also without a length; CONTENT_LENGTH says how much it was."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            await asyncio.sleep(0)
            yield b"abc"

    response = answered(host, TELLS, request(method="POST", body=Body(chunks())))

    assert (b"9", b"abcabcabc") == (told(response)[1][b"CONTENT_LENGTH"], told(response)[2])


def test_a_body_that_does_not_come_ends_at_the_deadline(host: Host) -> None:
    """504, and the slot is free."""

    async def chunks() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    response = answered(host, TELLS, request(method="POST", body=Body(chunks())), limits=Limits(timeout=0.05))

    assert (504, "deadline") == (response.status, host.finished[0].outcome)
    assert 0 == host.sandbox.scheduler.admission.taken


BAD = {
    "nothing at all": (command(""), "bad_response", "before it began"),
    "half a head": (printing(b"Content-Type: a/b\n"), "bad_response", "within its head"),
    "no type": (printing(b"X: y\n\nz"), "bad_response", "neither Content-Type"),
    "exit code": (printing(HEAD, b"x", then="(call $exit (i32.const 3))"), "exit", "exit code 3"),
    "exit code of -1": (printing(HEAD, then="(call $exit (i32.const -1))"), "exit", "exit code 4294967295"),
    "trap": (printing(HEAD, b"x", then="unreachable"), "trap", "unreachable"),
    "a window outside": (
        command("(drop (call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0)))"),
        "trap",
        "memory_bounds",
    ),
    "many vectors": (
        command("(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 0)))"),
        "trap",
        "memory_bounds",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_response_is_500(host: Host, name: str) -> None:
    """With one record that says why; what was printed never gets out."""
    module, outcome, detail = BAD[name]

    response = answered(host, module)

    (record,) = host.finished
    assert (500, outcome) == (response.status, record.outcome)
    assert detail in record.detail
    assert b"internal" in body_of(response) or b"guest_fault" in body_of(response)


def test_exit_code_0_is_an_end_like_any_other(host: Host) -> None:
    """Wherever the guest is."""
    response = answered(host, printing(HEAD, b"x", then="(call $exit (i32.const 0)) unreachable"))

    assert (200, b"x") == (response.status, body_of(response))


def test_a_status_that_is_none_is_502(host: Host) -> None:
    """As in WAGI."""
    assert 502 == answered(host, printing(b"Status: good\n\n")).status


def test_standard_error_is_the_log(host: Host) -> None:
    """A record for each line, the last one need not end; a strange line of the head is told as well."""
    texts = (b"first\nsecond\nthi", b"rd", b"Status: 200\nstrange\n\n")
    body = "(call $text_0 (i32.const 2)) (call $text_1 (i32.const 2)) (call $text_2 (i32.const 1))"

    answered(host, command(body, *texts))

    assert ["first", "second", "no field of a head: strange", "third"] == logged(host)


def test_a_command_of_another_name_can_be_called(host: Host) -> None:
    """`function` says which."""
    module = printing(HEAD, b"x").replace(
        '(func (export "_start")', '(func (export "_start")) (func (export "other")'
    )

    assert b"x" == body_of(asyncio.run(host.application(module, function="other")(request())))
    assert 500 == asyncio.run(host.application(module)(request())).status


def test_what_imports_more_than_wasi_is_no_command(host: Host) -> None:
    """It has no ABI."""
    with pytest.raises(UnknownAbi, match="imports from other"):
        host.application(
            '(module (import "other" "f" (func)) (memory (export "memory") 1) (func (export "_start")))'
        )


async def _taken(response: Response) -> AsyncGenerator[bytes, None]:
    assert isinstance(response.body, Streaming)
    try:
        async for chunk in response.body:
            yield chunk
    finally:
        await response.body.aclose()


def test_a_large_body_streams_and_is_never_collected(host: Host) -> None:
    """It begins before the guest has ended; the guest waits for the one who reads."""
    pieces = 200
    module = command(
        f"""(local $left i32) (call $text_0 (i32.const 1)) (local.set $left (i32.const {pieces}))
        (loop (call $write (i32.const 1) (i32.const 4096) (i32.const 65536))
          (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br_if 0 (local.get $left)))""",
        HEAD,
    )
    application = host.application(module, limits=Limits(response_body=16 * MIB))

    async def main() -> tuple[int, int]:
        response = await application(request())
        assert [] == host.finished
        sizes = [len(chunk) async for chunk in _taken(response)]
        return sum(sizes), max(sizes)

    total, largest = asyncio.run(main())

    assert (pieces * 64 * KIB, PIPE) == (total, largest)
    assert [(200, "ok")] == [(record.status, record.outcome) for record in host.finished]


def test_a_response_begins_when_its_guest_waits(host: Host) -> None:
    """An event before a sleep is there before the sleep is over."""
    body = (
        f"(call $text_0 (i32.const 1)) (call $sleep (i64.const {SECOND // 5})) (call $text_1 (i32.const 1))"
    )
    application = host.application(command(body, HEAD + b"first", b"second"))

    async def main() -> list[bytes]:
        response = await application(request())
        assert [] == host.finished
        return [chunk async for chunk in _taken(response)]

    assert [b"first", b"second"] == asyncio.run(main())
    assert ["ok"] == [record.outcome for record in host.finished]


def test_a_client_that_leaves_ends_its_guest(host: Host) -> None:
    """Closing the stream returns when the guest, its slot and its record are done with."""
    application = host.application(FLOOD, limits=Limits(response_body=1024 * MIB))

    async def main() -> None:
        response = await application(request())
        stream = _taken(response)
        assert PIPE == len(await anext(stream))
        await stream.aclose()
        assert ["cancelled"] == [record.outcome for record in host.finished]
        assert 0 == host.sandbox.scheduler.admission.taken

    asyncio.run(main())


def test_a_client_that_leaves_before_there_is_a_response_ends_its_guest(host: Host) -> None:
    """The task that asked is cancelled, and so is the guest before that returns."""
    application = host.application(command(f"(call $sleep (i64.const {60 * SECOND}))"))

    async def main() -> None:
        task = asyncio.create_task(application(request()))
        await until(lambda: host.sandbox.scheduler.admission.taken > 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ["cancelled"] == [record.outcome for record in host.finished]

    asyncio.run(main())


CUT = {
    "deadline": (FLOOD, Limits(timeout=0.2, response_body=1024 * MIB), "deadline"),
    "body": (FLOOD, Limits(response_body=MIB), "host_limit"),
    "calls": (FLOOD, Limits(host_calls=40, response_body=1024 * MIB), "host_limit"),
    "trap": (printing(HEAD, b"x", then=f"{NAP} unreachable"), Limits(), "trap"),
    "exit": (printing(HEAD, b"x", then=f"{NAP} (call $exit (i32.const 1))"), Limits(), "exit"),
}


@pytest.mark.parametrize("name", CUT)
def test_a_response_that_has_begun_and_ends_badly_is_cut(host: Host, name: str) -> None:
    """Its stream raises, so that no client takes it for whole; the record says why."""
    module, limits, outcome = CUT[name]
    application = host.application(module, limits=limits)

    async def main() -> None:
        response = await application(request())
        assert 200 == response.status
        if name == "deadline":  # of one that nobody reads
            await until(lambda: bool(host.finished))
        with pytest.raises(InvocationError) as caught:
            async for _ in _taken(response):
                pass
        assert outcome == caught.value.outcome

    asyncio.run(main())
    assert [outcome] == [record.outcome for record in host.finished]


@pytest.mark.usefixtures("on_path")
def test_a_thousand_guests_sleep_in_one_worker_and_die_at_their_deadline() -> None:
    """A neighbour is answered meanwhile; all end as one does, and nothing is left."""
    room = Sandbox(slots=1100)
    host = Host(room)
    sleeper = host.application(
        command(f"(call $sleep (i64.const {60 * SECOND}))"), limits=Limits(timeout=3, concurrency=1000)
    )
    neighbour = host.application(printing(HEAD, b"x"))

    async def main() -> list[Response]:
        asleep = [asyncio.create_task(sleeper(request())) for _ in range(1000)]
        await until(lambda: room.scheduler.admission.taken == 1000)
        assert b"x" == body_of(await neighbour(request()))
        return await asyncio.gather(*asleep)

    answers = asyncio.run(main())

    assert {504} == {response.status for response in answers}
    ends = Counter(record.outcome for record in host.finished)
    assert {"deadline": 1000, "ok": 1} == ends
    assert 0 == room.scheduler.admission.taken
    host.close()
    room.close()


READS = """(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "Content-Type: text/plain\\0a\\0a") (data (i32.const 2048) "NAME")
  (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func (export "_start")
    (call $must (call $open (i32.const 3) (i32.const 1) (i32.const 2048) (i32.const SIZE) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
    (i32.store (i32.const 16) (i32.const 4096)) (i32.store (i32.const 20) (i32.const 100))
    (call $must (call $read (i32.load (i32.const 8)) (i32.const 16) (i32.const 1) (i32.const 12)))
    (i32.store (i32.const 24) (i32.const 1024)) (i32.store (i32.const 28) (i32.const 26))
    (i32.store (i32.const 32) (i32.const 4096)) (i32.store (i32.const 36) (i32.load (i32.const 12)))
    (call $must (call $write (i32.const 1) (i32.const 24) (i32.const 2) (i32.const 12)))))"""


def reading(name: str) -> str:
    """A command that prints the file of that name below its first mount, or exits with the errno."""
    return READS.replace("SIZE", str(len(name))).replace("NAME", name)


CLOCKS = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_res_get" (func $resolution (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (local $left i32) (local.set $left (i32.const 1000))
    (drop (call $resolution (i32.const 1) (i32.const 0)))
    (if (i64.gt_u (i64.load (i32.const 0)) (i64.const 999999)) (then (call $exit (i32.const 1))))
    (loop
      (drop (call $time (i32.const 1) (i64.const 0) (i32.const 8)))
      (if (i64.ne (i64.rem_u (i64.load (i32.const 8)) (i64.const 1000000)) (i64.const 0))
        (then (call $exit (i32.const 3))))
      (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"""


@pytest.mark.parametrize(("precise", "code"), [(False, 1), (True, 3)])
def test_clocks_are_as_fine_as_is_granted(host: Host, precise: bool, code: int) -> None:  # noqa: FBT001 - a parameter
    """Milliseconds, or nanoseconds where the configuration says so."""
    answered(host, CLOCKS, precise_clocks=precise)

    assert f"exit code {code}" == host.finished[0].detail


def test_a_mount_is_read_and_nothing_beside_it(host: Host, tmp_path: Path) -> None:
    """What is below it, and neither its parent, nor what a link leads to."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "page").write_bytes(b"content")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "site" / "link").symlink_to("../secret")
    mounts = Mounts(mounts=(Mount(name="/data", path=tmp_path / "site"),))

    def outcome(name: str) -> tuple[int, str]:
        asyncio.run(host.application(reading(name), mounts=mounts)(request()))
        return host.finished[-1].status, host.finished[-1].detail

    assert (200, "") == outcome("page")
    assert {(500, "exit code 63")} == {outcome("../secret"), outcome("link"), outcome("/etc/passwd")}
    assert (500, "exit code 44") == outcome("nothing")


def test_a_mount_that_is_gone_is_503(host: Host, tmp_path: Path) -> None:
    """The record says which; once it is there again, so is the application."""
    application = host.application(
        printing(HEAD, b"x"), mounts=Mounts(mounts=(Mount(name="/data", path=tmp_path / "site"),))
    )

    gone = asyncio.run(application(request()))
    (tmp_path / "site").mkdir()
    there = asyncio.run(application(request()))

    assert [503, 200] == [gone.status, there.status]
    assert "No such file or directory" in host.finished[0].detail
    assert f"{tmp_path}/site" in host.finished[0].detail


def test_without_a_mount_there_is_no_file(host: Host) -> None:
    """Descriptor 3 is nothing."""
    asyncio.run(host.application(reading("page"))(request()))

    assert "exit code 8" == host.finished[0].detail


def test_a_reactor_of_env_may_print_and_exit(host: Host) -> None:
    """What it prints is its log; its response is the one of `env`; exit code 0 is a return."""
    module = """(module
      (import "env" "response_set_body" (func $body (param i32 i64)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1) (data (i32.const 100) "hello\\0a")
      (data (i32.const 0) "\\64\\00\\00\\00\\06\\00\\00\\00")
      (func (export "_initialize")
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))))
      (func (export "handle")
        (call $body (i32.const 100) (i64.const 5)) (call $exit (i32.const 0)) unreachable))"""

    response = asyncio.run(host.application(module)(request()))

    assert (200, b"hello") == (response.status, body_of(response))
    assert ["hello", "hello"] == logged(host)
