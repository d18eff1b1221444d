"""Releases of modules that are not on this machine, and of those that have to be what the file says."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from applications import HELLO
from configurations import application, configuration
from sandbox import wat
from serverless_wasm.config.configuration import ApplicationConfig
from serverless_wasm.events import Event, ModuleFetched
from serverless_wasm.limits import Limits
from serverless_wasm.release import Builder, Release, differences
from serverless_wasm.stores import Remote, Store
from serverless_wasm.wasm.artifacts import Cache
from serverless_wasm.wasm.code import InlineCompiler
from sources.servers import Exchange, free_port, web

MODULE = wat(HELLO)
DIGEST = f"sha256:{hashlib.sha256(MODULE).hexdigest()}"
OTHER = "sha256:" + "0" * 64


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty cache."""
    return Cache(tmp_path / "cache")


def remote(name: str, url: str, **fields: Any) -> ApplicationConfig:
    """An application from elsewhere, with a table that holds a secret."""
    store = Store(name="mine", url=url, options={"token": "canary"})
    return application(name, file_path=Remote(url=url, store=store), **fields)


def build(cache: Cache, *applications: ApplicationConfig, emit: list[Event] | None = None) -> Release:
    """A release of these applications."""
    told = [] if emit is None else emit
    builder = Builder(cache, InlineCompiler, emit=told.append)
    return asyncio.run(builder.build(configuration(Path("/c"), *applications)))


def hello(exchange: Exchange) -> None:
    exchange.say(200 if exchange.path == "/hello" else 404, MODULE)


def test_a_module_of_many_is_fetched_once(cache: Cache) -> None:
    """However many applications have it; the one with a digest asks for itself."""
    told: list[Event] = []
    with web(hello) as server:
        url = f"http://127.0.0.1:{server.port}/hello"
        release = build(cache, *(remote(name, url) for name in "abc"), emit=told)

        assert [part.error for part in release.parts] == ["", "", ""]
        assert len({part.artifact for part in release.parts}) == 1
        assert server.asked == ["GET /hello"]
        assert [type(event) for event in told] == [ModuleFetched]
        build(cache, remote("a", url, digest=DIGEST), emit=told)
        assert len(server.asked) == 1


def test_mistakes_stay_with_their_application(cache: Cache) -> None:
    """Away, gone, another digest, too large for one of two: the others live."""
    with web(hello) as server:
        url = f"http://127.0.0.1:{server.port}/hello"
        release = build(
            cache,
            remote("good", url),
            remote("gone", f"{url}/gone"),
            remote("away", f"http://127.0.0.1:{free_port()}/hello"),
            remote("other", url, digest=OTHER),
            remote("small", url, limits=Limits(module_size=10)),
        )

    errors = {part.config.name: part.error for part in release.parts}
    assert errors.pop("good") == ""
    assert "status 404, there is nothing" in errors["gone"]
    assert "refuses connections" in errors["away"]
    assert f"has digest {DIGEST}, not {OTHER} as the file says" in errors["other"]
    assert f"has {len(MODULE)} bytes, more than module_size, 10" in errors["small"]
    assert not any("canary" in error for error in errors.values())


def test_a_local_module_has_to_be_what_the_file_says(cache: Cache, tmp_path: Path) -> None:
    """As one from elsewhere has."""
    path = tmp_path / "hello.wasm"
    path.write_bytes(MODULE)
    right, wrong = (application(name[-1], file_path=path, digest=name) for name in (DIGEST, OTHER))

    release = build(cache, right, replace(wrong, name="wrong"))

    assert [part.error for part in release.parts] == [
        "",
        f"{path} has digest {DIGEST}, not {OTHER} as the file says",
    ]


def test_what_changes_there_changes_with_the_next_release(cache: Cache) -> None:
    """Code, and what a table says; its words are not told."""
    answers = [MODULE, MODULE.replace(b"hello", b"hallo")]
    with web(lambda exchange: exchange.say(200, answers[0])) as server:
        url = f"http://127.0.0.1:{server.port}/hello"
        config = remote("a", url)
        first = build(cache, config)
        answers.reverse()
        second = build(cache, config)
        third = build(cache, replace(config, file_path=Remote(url=url)))

    assert list(differences(first, second)) == ["a changed: code"]
    assert list(differences(second, third)) == ["a changed: file_path"]


def test_a_build_may_be_cancelled(cache: Cache) -> None:
    """While a server says nothing; the next one works."""
    asked = threading.Event()

    def hold(exchange: Exchange) -> None:
        asked.set()
        exchange.hold()

    async def main(url: str) -> None:
        builder = Builder(cache, InlineCompiler)
        building = asyncio.create_task(builder.build(configuration(Path("/c"), remote("a", url))))
        assert await asyncio.to_thread(asked.wait, 10)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building

    with web(hold) as server:
        asyncio.run(main(f"http://127.0.0.1:{server.port}/hello"))
        server.answer = hello
        release = build(cache, remote("a", f"http://127.0.0.1:{server.port}/hello"))
    assert release.parts[0].error == ""


def test_the_same_is_made_again(cache: Cache, tmp_path: Path) -> None:
    """From what was fetched, though there is something new elsewhere, or nobody to ask."""
    answers = [MODULE, MODULE.replace(b"hello", b"hallo")]
    with web(lambda exchange: exchange.say(200, answers[0])) as server:
        whole = configuration(Path("/c"), remote("a", f"http://127.0.0.1:{server.port}/hello"))
        builder = Builder(cache, InlineCompiler)
        first = asyncio.run(builder.build(whole))
        answers.reverse()
        for file in (tmp_path / "cache").glob("*.cwasm"):
            file.unlink()
        again = asyncio.run(builder.build(first.pinned))
        assert server.asked == ["GET /hello"]

    assert [part.artifact for part in first.parts] == [part.artifact for part in again.parts]
    assert again.parts[0].artifact
    assert cache.find(again.parts[0].artifact.digest, fuel=False)
