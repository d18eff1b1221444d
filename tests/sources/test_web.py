"""Modules from web servers: what is taken, and a sentence for each way to fail."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from serverless_wasm.sources import fetch, remote, web
from sources.servers import MODULE, Cached, Exchange, free_port, table, wanted
from sources.servers import web as serving

CANARY = "hunter2"
Answer = Callable[[Exchange], None]


@pytest.fixture
def cached(tmp_path: Path) -> Cached:
    """An empty cache."""
    return Cached(tmp_path / "cache")


@pytest.fixture
def authority() -> trustme.CA:
    """One that no system trusts."""
    return trustme.CA()


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    """A server's, for 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    """The file of an authority that a table names."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def module(exchange: Exchange) -> None:
    exchange.say(200, MODULE)


def chunked(exchange: Exchange) -> None:
    exchange.say_raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"2\r\n\0a\r\n6\r\nsm\1\0\0\0\r\n0\r\n\r\n"
    )


@pytest.mark.parametrize("answer", [module, chunked])
def test_a_module_is_taken(cached: Cached, answer: Answer) -> None:
    """With its length said before, and without."""
    with serving(answer) as server:
        assert MODULE == cached.bytes(wanted(f"http://127.0.0.1:{server.port}/a.wasm"))
    assert cached.parts() == []


def test_a_redirect_is_followed_without_the_credentials(cached: Cached) -> None:
    """Another server may be told where we come from, but not who we are."""
    with serving(module) as other:
        place = f"http://127.0.0.1:{other.port}/there"
        with serving(lambda exchange: exchange.say(302, headers={"Location": place})) as server:
            url = f"http://127.0.0.1:{server.port}/a.wasm"

            assert MODULE == cached.bytes(wanted(url, table(url, token=CANARY)))

            assert server.headers[0]["authorization"] == "Bearer hunter2"
            assert "authorization" not in {name.lower() for name in other.headers[0]}


def test_tls_is_trusted_by_its_authority(cached: Cached, context: ssl.SSLContext, trusted: str) -> None:
    """With the table's `ca`, and not without; and never is a redirect out of TLS followed."""
    place = ["http://127.0.0.1:1/"]

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/out":
            exchange.say(302, headers={"Location": place[0]})
        else:
            exchange.say(200, MODULE)

    with serving(answer, context) as server:
        url = f"https://127.0.0.1:{server.port}"
        store = table(url, ca=trusted)

        assert MODULE == cached.bytes(wanted(f"{url}/a.wasm", store))
        assert "is not trusted: " in cached.refusal(wanted(f"{url}/other.wasm"))
        assert "it redirects to http://127.0.0.1:1/, without TLS" in cached.refusal(
            wanted(f"{url}/out", store)
        )


def test_a_bad_authority_is_told(cached: Cached, tmp_path: Path) -> None:
    """A file that is not there, and one that is no certificate."""
    (tmp_path / "bad.pem").write_text("hello")
    for name, said in (("gone.pem", "No such file"), ("bad.pem", "not a PEM certificate")):
        store = table("https://127.0.0.1", ca=str(tmp_path / name))
        refusal = cached.refusal(wanted("https://127.0.0.1/a.wasm", store))
        assert said in refusal
        assert name in refusal


def saying(status: int, body: bytes = b"", **headers: str) -> Answer:
    return lambda exchange: exchange.say(
        status, body, {key.replace("_", "-"): value for key, value in headers.items()}
    )


def raw(data: bytes) -> Answer:
    return lambda exchange: exchange.say_raw(data)


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n" + MODULE
WAYS: dict[str, tuple[Answer, str]] = {
    "unauthorized": (saying(401), "status 401, no right to read it without credentials; write them"),
    "forbidden": (saying(403), "status 403, no right to read it without credentials; write them"),
    "gone": (saying(404), "status 404, there is nothing"),
    "ill": (saying(500), "status 500, the server fails"),
    "busy": (saying(429), "status 429, the server fails"),
    "teapot": (saying(418), "status 418 instead of 200"),
    "unchanged": (saying(304), "status 304 instead of 200"),
    "part": (saying(206, MODULE), "status 206 instead of 200"),
    "circle": (saying(302, Location="/a.wasm"), "redirects more than 5 times"),
    "page": (saying(200, b"<!DOCTYPE html>"), "it is not WebAssembly: it begins with <!DO"),
    "empty": (saying(200), "it is not WebAssembly: it is empty"),
    "short": (saying(200, b"\0as"), "it is not WebAssembly: it begins with"),
    "packed": (
        saying(200, gzip.compress(MODULE), Content_Encoding="gzip"),
        "it comes with content-encoding gzip, which was not asked for",
    ),
    "large": (saying(200, MODULE + bytes(8 << 20)), "it has more than 8388608 bytes, which is module_size"),
    "cut": (raw(CUT), "closes the connection before the end"),
    "nothing": (raw(b""), "closes the connection before the end"),
    "garbage": (raw(b"\x16\x03\x01 hello\r\n\r\n"), "does not answer in HTTP"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_fail_has_its_sentence(cached: Cached, way: str) -> None:
    """It begins with the URL; nothing half written is left, and the next one is fetched."""
    answer, said = WAYS[way]
    with serving(answer) as server:
        url = f"http://127.0.0.1:{server.port}/a.wasm"
        refusal = cached.refusal(wanted(url))
        server.answer = module

        assert refusal.startswith(f"{url} cannot be fetched: ")
        assert said in refusal
        assert cached.parts() == []
        assert MODULE == cached.bytes(wanted(url))


def test_nobody_is_there(cached: Cached) -> None:
    """No name, no listener, no TLS."""
    port = free_port()
    assert f"127.0.0.1:{port} refuses connections" in cached.refusal(wanted(f"http://127.0.0.1:{port}/a"))
    assert "the name no.such.invalid is not known" in cached.refusal(wanted("https://no.such.invalid/a"))
    with serving(module) as server:
        url = f"https://127.0.0.1:{server.port}/a"
        assert f"127.0.0.1:{server.port} does not speak TLS" in cached.refusal(wanted(url))


@pytest.mark.parametrize("before", [b"", CUT])
def test_a_silent_server_is_given_up(cached: Cached, monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    """Whether it says nothing at all, or stops in the middle."""
    for room in (web, fetch):
        monkeypatch.setattr(room, "SILENCE", 0.2)

    def stall(exchange: Exchange) -> None:
        exchange.wfile.write(before)
        exchange.wfile.flush()
        exchange.hold()

    with serving(stall) as server:
        refusal = cached.refusal(wanted(f"http://127.0.0.1:{server.port}/a"))

    assert "says nothing for 0.2 s" in refusal
    assert cached.parts() == []


def test_a_trickle_is_given_up(cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always says a little takes no longer than a module may."""
    monkeypatch.setattr(fetch, "WHOLE", 0.3)

    def trickle(exchange: Exchange) -> None:
        exchange.wfile.write(CUT)
        while not exchange.server.ended.wait(0.01):
            exchange.wfile.write(b"\0")

    with serving(trickle) as server:
        assert "it takes longer than 0.3 s" in cached.refusal(wanted(f"http://127.0.0.1:{server.port}/a"))
    assert cached.parts() == []


def test_credentials_are_never_shown(cached: Cached) -> None:
    """Not in a refusal, and not in what the places print of themselves."""
    with serving(saying(403)) as server:
        url = f"http://127.0.0.1:{server.port}/a"
        for options in ({"token": "hunter2"}, {"username": "me", "password": "hunter2"}):
            item = wanted(url, table(url, **options))
            refusal = cached.refusal(item)
            assert "with the credentials of [stores.mine]" in refusal
            assert "hunter2" not in refusal + repr(item)


def test_a_fetch_may_be_cancelled(cached: Cached) -> None:
    """Nothing half written is left, and the next one is fetched."""

    def stall(exchange: Exchange) -> None:
        exchange.wfile.write(CUT)
        exchange.wfile.flush()
        exchange.hold()

    async def main(url: str) -> None:
        seen = asyncio.Event()

        def watch(url: str, done: int, size: int | None) -> None:
            assert 0 < done < (size or 0)
            seen.set()

        fetcher = fetch.Fetcher(cached.folder, watch=watch)
        task = asyncio.create_task(fetcher.fetch([wanted(url)]))
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with serving(stall) as server:
        url = f"http://127.0.0.1:{server.port}/a"
        asyncio.run(main(url))
        assert cached.parts() == []
        server.answer = module
        assert MODULE == cached.bytes(wanted(url))


def test_no_client_is_loaded_for_local_files() -> None:
    """The supervisor of a service without places elsewhere starts without them."""
    assert "httpx" not in vars(remote)
    assert "httpx" not in vars(fetch)
