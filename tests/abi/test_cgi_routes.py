"""Sub-routes that a CGI module names itself (WAGI's `_routes`)."""

from __future__ import annotations

import asyncio

import pytest

from abi.scripts import HEAD, command
from applications import Host, body_of, request
from serverless_wasm.messages import Response


def naming(lines: bytes, *, functions: str = "") -> str:
    """A module whose `_routes` prints these lines; `one` and `two` print their names, `_start` `start`."""
    text = command("(call $text_1 (i32.const 1))", lines, HEAD + b"start", HEAD + b"one", HEAD + b"two")
    return text.replace(
        '(func (export "_start")',
        """(func (export "_routes") (call $text_0 (i32.const 1)))
        (func (export "one") (call $text_2 (i32.const 1))) (func (export "two") (call $text_3 (i32.const 1)))
        (func (export "bad") (param i32))
        (func (export "_start")""",
    )


ROUTES = naming(b"/one one\n\n  /deep/... two\r\n/deep/er one\n")


def asked(host: Host, module: str, *paths: str, route: str = "/app/...") -> list[Response]:
    """The responses to requests for these paths, one after the other."""
    application = host.application(module, route=route)

    async def main() -> list[Response]:
        return [await application(request(path=path)) for path in paths]

    return asyncio.run(main())


@pytest.mark.parametrize(("route", "script"), [("/app/...", "/app"), ("/...", "")])
def test_the_longest_sub_route_decides_what_is_called(host: Host, route: str, script: str) -> None:
    """Without one that fits it is `_start`, as in a module that names none."""
    paths = {
        "": "start", "/": "start", "/one": "one", "/one/more": "start", "/deep": "two", "/deep/x/y": "two",
        "/deep/er": "one", "/deeper": "start",
    }  # fmt: skip

    found = asked(host, ROUTES, *(script + path for path in paths), route=route)

    assert list(paths.values()) == [body_of(response).decode() for response in found]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (b"/one", "is not a path and a function"),
        (b"one one", "is not a path and a function"),
        (b"/one one two", "is not a path and a function"),
        (b"/one three", 'function "three" does not exist'),
        (b"/one bad", 'function "bad" is (i32) -> ()'),
        (b"/one one\n" * 1001, "more than 1000 lines"),
    ],
)
def test_what_cannot_be_called_is_refused(host: Host, lines: bytes, reason: str) -> None:
    """With a record that says why, for every request."""
    responses = asked(host, naming(lines), "/app", "/app/one")

    assert [500, 500] == [response.status for response in responses]
    assert all(reason in record.detail and record.outcome == "bad_response" for record in host.finished)


def test_the_first_response_streams_as_those_that_follow(host: Host) -> None:
    """Asking the module for its routes, which the first request does, takes nothing from that request."""
    first = "(call $text_1 (i32.const 1))"
    wait = "(call $sleep (i64.const 1000000)) (call $text_3 (i32.const 1))"
    text = naming(b"/one one\n").replace(first, f"{first} {wait}", 1)
    application = host.application(text, route="/app/...")

    async def main() -> list[bool]:
        bodies = [(await application(request(path="/app"))).body for _ in range(2)]
        for body in bodies:
            assert not isinstance(body, bytes)
            assert b"start" + HEAD + b"two" == b"".join([chunk async for chunk in body])
        return [isinstance(body, bytes) for body in bodies]

    assert [False, False] == asyncio.run(main())


def test_a_command_of_another_name_names_no_routes(host: Host) -> None:
    """`function` in the configuration has the last word."""
    application = host.application(ROUTES, route="/app/...", function="two")

    assert b"two" == body_of(asyncio.run(application(request(path="/app/one"))))
