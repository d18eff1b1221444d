"""Modules from object stores: real servers, and some that fail in each way."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest
import trustme

from serverless_wasm.events import ModuleFetched
from serverless_wasm.sources import objects
from serverless_wasm.sources.fetch import Fetcher, Wanted
from serverless_wasm.stores import Patience, Store, open_objects
from services import READY, Service
from sources.servers import MODULE, Cached, Exchange, free_port, wanted, web

LARGE = MODULE + bytes(3 << 20)
CANARY = "canary-of-s3"


@pytest.fixture
def cached(tmp_path: Path) -> Cached:
    """An empty cache."""
    return Cached(tmp_path / "cache")


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)


def store(endpoint: str, **options: str) -> Store:
    """A table for an S3 server."""
    usual = {"endpoint": endpoint, "region": "us-east-1", "access_key_id": "me", "secret_access_key": CANARY}
    return Store(name="mine", url="s3://bucket", options=usual | options)


def put(service: Service, name: str, data: bytes) -> None:
    """Puts an object into a bucket."""
    obstore.put(open_objects(service.remote("sources"), READY), name, data)


def kept_at(service: Service, name: str, **options: str) -> Wanted:
    """An object of a bucket, with the credentials that are right but for `options`."""
    remote = service.remote(f"sources/{name}", **options)
    return Wanted(remote=remote, digest=None, limit=8 << 20)


@pytest.mark.parametrize("kind", ["s3", "azure"])
def test_a_module_is_fetched(cached: Cached, kind: str, request: pytest.FixtureRequest) -> None:
    """Whole, and not again while it is the same; a name may have a blank in it."""
    service: Service = request.getfixturevalue(kind)
    put(service, "a b.wasm", LARGE)
    item = kept_at(service, "a b.wasm")
    assert LARGE == cached.bytes(item)
    assert LARGE == cached.bytes(item)
    put(service, "a b.wasm", MODULE)
    assert MODULE == cached.bytes(item)

    told = [event.from_cache for event in cached.events if isinstance(event, ModuleFetched)]
    assert told == [False, True, False]
    assert len(cached.watched) > 2
    assert "status 404, there is nothing" in cached.refusal(kept_at(service, "none.wasm"))


def test_who_is_not_right(cached: Cached, s3: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said whose credentials they were, and never what they were."""
    put(s3, "closed.wasm", MODULE)
    refusal = cached.refusal(kept_at(s3, "closed.wasm", secret_access_key=CANARY))
    assert "status 403, no right to read it with the credentials of [stores.test]" in refusal
    assert CANARY not in refusal

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.options["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    where = Store(name="mine", url="s3://bucket", options={"endpoint": s3.endpoint, "region": "us-east-1"})
    item = wanted("s3://bucket/sources/closed.wasm", where)
    assert "with the credentials of the environment" in cached.refusal(item)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.options["secret_access_key"])
    assert MODULE == cached.bytes(item)


def saying(head: bytes, body: bytes = b"abc") -> Callable[[Exchange], None]:
    """An answer as it is."""
    end = b"Connection: close\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n"
    return lambda exchange: exchange.say_raw(b"HTTP/1.1 " + head + b"\r\n" + end + body)


OK = b"200 OK\r\nETag: x\r\n"
WAYS: dict[str, tuple[Callable[[Exchange], None], str]] = {
    "unauthorized": (saying(b"401 X\r\nContent-Length: 3"), "status 401, no right to read it with"),
    "forbidden": (saying(b"403 X\r\nContent-Length: 3"), "status 403, no right to read it with"),
    "gone": (saying(b"404 X\r\nContent-Length: 3"), "status 404, there is nothing"),
    "ill": (saying(b"500 X\r\nContent-Length: 3"), "status 500, the server fails"),
    "odd": (saying(b"418 X\r\nContent-Length: 3"), "status 418 instead of 200"),
    "elsewhere": (saying(b"301 X\r\nContent-Length: 3"), "the server redirects: the region is not right"),
    "no length": (saying(OK + b"X: y"), "the server does not answer as such a store"),
    "cut": (saying(OK + b"Content-Length: 9", MODULE), "the server closes the connection before the end"),
    "large": (saying(OK + b"Content-Length: 9000000", MODULE), "it has more than 8388608 bytes"),
    "page": (saying(OK + b"Content-Length: 3"), "it is not WebAssembly: it begins with abc"),
    "garbage": (lambda exchange: exchange.say_raw(b"\x16\x03\r\n"), "does not answer as such a store"),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_fail_has_its_sentence(cached: Cached, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins with the URL and shows nothing of what the client said; nothing half written is left."""
    monkeypatch.setattr(objects, "_PATIENCE", Patience(retries=0))
    answer, said = WAYS[way]
    with web(answer) as server:
        url = "s3://bucket/a.wasm"
        refusal = cached.refusal(wanted(url, store(f"http://127.0.0.1:{server.port}")))

    assert refusal.startswith(f"{url} cannot be fetched: ")
    assert said in refusal
    assert CANARY not in refusal
    assert "Debug" not in refusal
    assert cached.parts() == []


def test_nobody_is_there(cached: Cached, tmp_path: Path) -> None:
    """No name, no listener, no TLS, a certificate that nobody vouches for, no object named."""
    url = "s3://bucket/a.wasm"
    here = store(f"http://127.0.0.1:{free_port()}")
    assert "the server refuses connections" in cached.refusal(wanted(url, here))
    away = store("https://no.such.invalid")
    assert "the name of the server is not known" in cached.refusal(wanted(url, away))
    assert "it names no object" in cached.refusal(wanted("s3://bucket", here))
    assert "it names no object" in cached.refusal(wanted("s3://bucket/", here))
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(secure)
    with web(lambda exchange: exchange.say(200), secure) as server:
        other = store(f"https://127.0.0.1:{server.port}")
        assert "the certificate of the server is not trusted" in cached.refusal(wanted(url, other))
    with web(lambda exchange: exchange.say(200)) as server:
        other = store(f"https://127.0.0.1:{server.port}")
        assert "the server does not speak TLS" in cached.refusal(wanted(url, other))
    bad = store("https://127.0.0.1:1", ca=str(tmp_path / "gone.pem"))
    assert "ca: No such file" in cached.refusal(wanted(url, bad))


def test_a_silent_server_is_given_up(cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while in which it says nothing."""
    monkeypatch.setattr(objects, "SILENCE", 0.3)
    with web(lambda exchange: exchange.hold()) as server:
        item = wanted("s3://bucket/a.wasm", store(f"http://127.0.0.1:{server.port}"))
        assert "the server says nothing for 0.3 s" in cached.refusal(item)


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nETag: x\r\n"])
def test_a_fetch_may_be_cancelled(cached: Cached, before: bytes) -> None:
    """Before the answer and in the middle of it; the next one is fetched."""
    asked = threading.Event()

    def stall(exchange: Exchange) -> None:
        if before:
            modified = b"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n"
            exchange.wfile.write(before + modified + MODULE)
            exchange.wfile.flush()
        asked.set()
        exchange.hold()

    async def main(item: Wanted) -> None:
        task = asyncio.create_task(Fetcher(cached.folder).fetch([item]))
        assert await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with web(stall) as server:
        item = wanted("s3://bucket/a.wasm", store(f"http://127.0.0.1:{server.port}"))
        asyncio.run(main(item))
        assert cached.parts() == []
        server.answer = saying(OK + b"Content-Length: 8", MODULE)
        assert MODULE == cached.bytes(item)


def test_a_machine_without_credentials(cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told where they are looked for."""
    monkeypatch.setattr(objects, "_PATIENCE", Patience(connect=0.3, request=1, retries=0))
    refusal = cached.refusal(wanted("s3://bucket/a.wasm"))
    assert "no credentials: no table [stores.NAME] is for it" in refusal


def test_plain_http_is_asked_for(cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint of the environment that has no TLS is not asked, unless the environment says so, too."""
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    assert "plain HTTP, which the endpoint of a table" in cached.refusal(wanted("s3://bucket/a.wasm"))
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert "refuses connections" in cached.refusal(wanted("s3://bucket/a.wasm"))
