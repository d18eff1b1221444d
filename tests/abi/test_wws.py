"""The JSON contract: what a command is given, and what it may answer (docs/abi/wws.md)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from abi.scripts import command, printing
from applications import Host, body_of, request
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Body, Headers, Request, Response
from serverless_wasm.storage.kv.namespace import KEY_LIMIT, KeyValueSettings
from serverless_wasm.storage.kv.stores import KeyValueStores

ECHO = command(
    """(local $size i32) (local.set $size (call $read (i32.const 8192) (i32.const 65536)))
    (call $text_0 (i32.const 1))
    (call $quoted (i32.const 8192) (local.get $size))
    (call $text_1 (i32.const 1))""",
    b'{"data":"',
    b'"}',
).replace(
    '(func (export "_start")',
    """(func $quoted (param $at i32) (param $size i32)
    (loop
      (if (i32.or (i32.eq (i32.load8_u (local.get $at)) (i32.const 34))
                  (i32.eq (i32.load8_u (local.get $at)) (i32.const 92)))
        (then (i32.store8 (i32.const 100) (i32.const 92))
          (call $write (i32.const 1) (i32.const 100) (i32.const 1))))
      (call $write (i32.const 1) (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if 0 (local.tee $size (i32.sub (local.get $size) (i32.const 1))))))
  (func (export "_start")""",
)
"""Answers with the question, as text."""


def answered(host: Host, module: str, given: Request | None = None, limits: Limits | None = None) -> Response:
    return asyncio.run(host.application(module, abi="wws", limits=limits)(given or request()))


def test_a_command_is_given_its_request(host: Host) -> None:
    """All of it, as one object."""
    given = request(
        method="POST",
        path="/a/7",
        query="x=y",
        host="h",
        headers=Headers(((b"host", b"h"), (b"x-a", b"1"), (b"x-a", b"2"))),
        params={"id": "7"},
        body=Body.of('b"\\ö'.encode()),
    )

    response = answered(host, ECHO, given)

    assert {
        "url": "http://h/a/7?x=y",
        "method": "POST",
        "headers": {"host": "h", "x-a": "1, 2"},
        "body": 'b"\\ö',
        "kv": {},
        "params": {"id": "7"},
    } == json.loads(body_of(response))
    assert [(b"content-type", b"text/html")] == list(response.headers)


GOOD = {
    '{"data":"a\\u00f6"}': (200, [(b"content-type", b"text/html")], "aö".encode()),
    "{}": (200, [(b"content-type", b"text/html")], b""),
    '{"data":"aGk=","base64":true,"status":404}': (404, [(b"content-type", b"text/html")], b"hi"),
    '{"headers":{"Content_Type":"a/b","X-A":"c"},"kv":{"k":"v"},"more":1}': (
        200,
        [(b"content-type", b"a/b"), (b"x-a", b"c")],
        b"",
    ),
}


@pytest.mark.parametrize("text", GOOD)
def test_an_object_is_a_response(host: Host, text: str) -> None:
    """Every key may be left out."""
    response = answered(host, printing(text.encode()))

    assert GOOD[text] == (response.status, list(response.headers), body_of(response))


@pytest.mark.parametrize(
    "text",
    [
        b" ", b"[]", b"{", b"\xff", b'{"data":1}', b'{"status":99}', b'{"status":1e99}', b'{"status":"200"}',
        b'{"data":"a","base64":true}', b'{"headers":{"a b":"c"}}', b'{"headers":{"a":"b\\nc"}}',
        b'{"data":"\\ud800"}',
    ],
)  # fmt: skip
def test_anything_else_is_a_bad_response(host: Host, text: bytes) -> None:
    """500, with a record that says so."""
    assert 500 == answered(host, printing(text)).status
    assert "bad_response" == host.finished[0].outcome


def test_a_body_has_its_limit(host: Host) -> None:
    """Once it is decoded, and the JSON around it as well."""
    limits = Limits(response_body=10)

    assert 200 == answered(host, printing(b'{"data":"' + b"a" * 10 + b'"}'), limits=limits).status
    assert 500 == answered(host, printing(b'{"data":"' + b"a" * 11 + b'"}'), limits=limits).status
    assert 500 == answered(host, printing(b" " * 200_000), limits=limits).status
    assert ["ok", "host_limit", "host_limit"] == [record.outcome for record in host.finished]


def test_without_being_told_it_is_cgi(host: Host) -> None:
    """The imports do not tell."""
    response = asyncio.run(host.application(printing(b"{}"))(request()))

    assert (500, "bad_response") == (response.status, host.finished[0].outcome)


def kept(host: Host, tmp_path: Path, *says: str) -> list[tuple[Response, dict[bytes, bytes]]]:
    """Answers of programs that print these one after the other, each with what the store holds after it."""

    async def main() -> list[tuple[Response, dict[bytes, bytes]]]:
        stores, found = KeyValueStores(), []
        settings = KeyValueSettings(name="default", url=f"sqlite:///{tmp_path}/keys.db")
        (namespace,) = granted = stores.for_application("app", (settings,), Limits())
        try:
            for text in says:
                module = ECHO if text == "echo" else printing(text.encode())
                response = await host.application(module, abi="wws", key_value=granted)(request())
                keys, _ = await namespace.keys()
                values = await namespace.get_many(keys)
                found.append((response, {k: v for k, v in zip(keys, values, strict=True) if v is not None}))
        finally:
            await stores.close()
        return found

    return asyncio.run(main())


def test_keys_and_values_are_kept(host: Host, tmp_path: Path) -> None:
    """What comes back is what is there; nothing changes when nothing comes back."""
    first, second, third, fourth = kept(
        host, tmp_path, '{"kv":{"a":"1","b":"ö"}}', "echo", '{"kv":{"b":"2"}}', '{"kv":{}}'
    )

    assert {b"a": b"1", b"b": "ö".encode()} == first[1] == second[1]
    assert {"a": "1", "b": "ö"} == json.loads(body_of(second[0]))["kv"]
    assert ({b"b": b"2"}, {}) == (third[1], fourth[1])
    assert {200} == {each[0].status for each in (first, second, third, fourth)}


def test_keys_that_cannot_be_kept(host: Host, tmp_path: Path) -> None:
    """500 with the outcome `unsaved`, and nothing is kept."""
    long = "k" * (KEY_LIMIT + 1)
    ((response, after),) = kept(host, tmp_path, f'{{"kv":{{"a":"1","{long}":"2"}}}}')

    assert (500, {}) == (response.status, after)
    assert ["unsaved"] == [record.outcome for record in host.finished]


def test_without_a_store_nothing_is_kept(host: Host) -> None:
    """What such a program says of keys is not looked at."""
    assert 200 == answered(host, printing(b'{"kv":{"a":"1"}}')).status
