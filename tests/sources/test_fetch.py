"""Fetching for a release: what is asked for when, what is checked, and what happens without a network."""

from __future__ import annotations

import asyncio
import hashlib
import resource
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from serverless_wasm.errors import SourceError
from serverless_wasm.events import ModuleFetched, Notice
from serverless_wasm.sources.fetch import AT_ONCE, Fetched, Fetcher
from sources.servers import MODULE, Cached, Exchange, free_port, table, wanted, web

OTHER = MODULE + b"\0\3\1a"
DIGEST = hashlib.sha256(MODULE).hexdigest()


class Site:
    """A module that changes, with an entity tag as careful servers have it."""

    def __init__(self, module: bytes = MODULE, *, tags: bool = True) -> None:
        self.module = module
        self.tags = tags
        self.status = 200

    def __call__(self, exchange: Exchange) -> None:
        tag = f'"{hashlib.sha256(self.module).hexdigest()}"'
        if self.status != 200:
            exchange.say(self.status)
        elif self.tags and exchange.headers.get("if-none-match") == tag:
            exchange.say(304)
        else:
            exchange.say(200, self.module, {"ETag": tag} if self.tags else {})


@pytest.fixture
def cached(tmp_path: Path) -> Cached:
    """An empty cache."""
    return Cached(tmp_path / "cache")


def told(cached: Cached) -> list[tuple[int, bool]]:
    """Size, and whether it came from the cache, of each module so far."""
    fetches = [event for event in cached.events if isinstance(event, ModuleFetched)]
    return [(event.size, event.from_cache) for event in fetches]


def test_what_has_not_changed_is_not_moved_again(cached: Cached) -> None:
    """A server with entity tags is asked whether there is something new; another must say it all."""
    site = Site()
    with web(site) as server:
        item = wanted(f"http://127.0.0.1:{server.port}/a.wasm")
        assert MODULE == cached.bytes(item)
        assert MODULE == cached.bytes(item)
        assert server.headers[1]["if-none-match"] == f'"{DIGEST}"'
        site.module = OTHER
        assert OTHER == cached.bytes(item)
        site.tags = False
        site.module = MODULE
        assert MODULE == cached.bytes(item)
        assert OTHER != cached.bytes(item)

    assert told(cached) == [(8, False), (8, True), (12, False), (8, False), (8, False)]
    event = cached.events[0]
    assert isinstance(event, ModuleFetched)
    assert (item.remote.url, f"sha256:{DIGEST}") == (event.url, event.digest)
    assert cached.watched[0] == (item.remote.url, 8, 8)


def test_a_digest_that_is_there_needs_no_network(cached: Cached) -> None:
    """Not even one that works; and another URL with the same digest has it, too."""
    with web(Site()) as server:
        item = wanted(f"http://127.0.0.1:{server.port}/a.wasm", digest=f"sha256:{DIGEST}")
        assert MODULE == cached.bytes(item)
        assert MODULE == cached.bytes(item)
        assert len(server.asked) == 1

    assert MODULE == cached.bytes(wanted(f"http://127.0.0.1:{free_port()}/b", digest=f"sha256:{DIGEST}"))


def test_another_digest_is_refused(cached: Cached) -> None:
    """Whether it comes over the network, or was there before; and it is not taken for what was wanted."""
    with web(Site()) as server:
        item = wanted(f"http://127.0.0.1:{server.port}/a.wasm")
        pinned = replace(item, digest="sha256:" + "0" * 64)
        said = f"has digest sha256:{DIGEST}, not sha256:{'0' * 64} as the file says"

        assert said in cached.refusal(pinned)
        assert cached.parts() == []
        assert MODULE == cached.bytes(item)
        assert said in cached.refusal(pinned)
    assert said in cached.refusal(pinned)


@pytest.mark.parametrize("damage", [b"", b"\0asm", MODULE + b"x"])
def test_a_damaged_copy_is_fetched_again(cached: Cached, damage: bytes) -> None:
    """The server is asked for all of it then."""
    with web(Site()) as server:
        item = wanted(f"http://127.0.0.1:{server.port}/a.wasm")
        (fetched,) = cached.fetch(item)
        assert isinstance(fetched, Fetched)
        fetched.path.write_bytes(damage)

        assert MODULE == cached.bytes(item)

        assert "if-none-match" not in server.headers[1]
        fetched.path.write_bytes(damage)
    assert "refuses connections" in cached.refusal(item)


def test_a_start_without_a_network(cached: Cached) -> None:
    """Is a start from the cache, with a notice that says so and why."""
    with web(Site()) as server:
        item = wanted(f"http://127.0.0.1:{server.port}/a.wasm")
        cached.fetch(item)
    cached.events.clear()

    assert MODULE == cached.bytes(item)

    (notice,) = cached.events
    assert isinstance(notice, Notice)
    assert f"127.0.0.1:{server.port} refuses connections; the copy in the cache is used" in notice.message
    assert DIGEST in notice.message


@pytest.mark.parametrize(
    ("status", "lives"), [(500, True), (503, True), (429, True), (404, False), (403, False), (400, False)]
)
def test_a_no_is_a_no(cached: Cached, status: int, lives: bool) -> None:  # noqa: FBT001 - a parameter
    """A server that is ill is away; one that refuses, or has it no more, has answered."""
    site = Site()
    with web(site) as server:
        item = wanted(f"http://127.0.0.1:{server.port}/a.wasm")
        cached.fetch(item)
        site.status = status
        (result,) = cached.fetch(item)

    assert lives == isinstance(result, Fetched)


def test_another_endpoint_is_another_place(cached: Cached) -> None:
    """Its copy is not used for this one."""
    url = "oci://127.0.0.1:1/a"
    one, two = (wanted(url, table(url, endpoint=f"http://127.0.0.1:{number}")) for number in (1, 2))
    assert one.place != two.place
    assert one.origin != two.origin
    assert one.place == replace(one, limit=1).place


def test_one_that_fails_stops_no_other(cached: Cached) -> None:
    """In the order in which they were wanted."""
    with web(Site()) as server, web(lambda exchange: exchange.say(404)) as empty:
        urls = [f"http://127.0.0.1:{port}/{port}" for port in (empty.port, server.port, 1, server.port)]
        results = cached.fetch(*map(wanted, urls))

    assert [isinstance(result, Fetched) for result in results] == [False, True, False, True]
    assert "status 404" in str(results[0])
    assert "refuses" in str(results[2])


def test_no_more_than_some_at_once(cached: Cached) -> None:
    """A server is not asked for a thousand modules at once."""
    room, most, inside = threading.Semaphore(AT_ONCE), [0], [0]
    lock, full = threading.Lock(), threading.Event()

    def answer(exchange: Exchange) -> None:
        assert room.acquire(blocking=False)
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            if inside[0] == AT_ONCE:
                full.set()
        full.wait(10)
        with lock:
            inside[0] -= 1
        room.release()
        exchange.say(200, MODULE)

    with web(answer) as server:
        results = cached.fetch(*(wanted(f"http://127.0.0.1:{server.port}/{n}") for n in range(3 * AT_ONCE)))

    assert most == [AT_ONCE]
    assert all(isinstance(result, Fetched) for result in results)


def test_a_server_that_is_away_is_not_asked_by_all(cached: Cached) -> None:
    """Else a hundred modules would wait a hundred times for what does not come."""
    with web(Site()) as server:
        every = [wanted(f"https://127.0.0.1:{server.port}/{number}") for number in range(10 * AT_ONCE)]
        results = cached.fetch(*every)

        assert all("does not speak TLS" in str(result) for result in results)
        assert server.connections <= AT_ONCE


def test_one_that_the_server_fails_at_stops_no_other(cached: Cached) -> None:
    """It is asked for the others, all of them."""
    site = Site()

    def answer(exchange: Exchange) -> None:
        if exchange.path == "/0":
            exchange.say(503)
        else:
            site(exchange)

    with web(answer) as server:
        every = [wanted(f"http://127.0.0.1:{server.port}/{number}") for number in range(3 * AT_ONCE)]
        results = cached.fetch(*every)

    assert "status 503" in str(results[0])
    assert all(isinstance(result, Fetched) for result in results[1:])


def test_no_proxy_is_asked_for_this_machine(cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says of others."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with web(Site()) as server:
        assert MODULE == cached.bytes(wanted(f"http://127.0.0.1:{server.port}/a"))
        assert MODULE == cached.bytes(wanted(f"http://localhost:{server.port}/a"))


def test_a_cache_that_cannot_be_is_told(tmp_path: Path) -> None:
    """For each module, and nothing is raised."""
    (tmp_path / "cache").write_text("a file")
    results = Cached(tmp_path / "cache").fetch(wanted("https://a.invalid/a"), wanted("https://a.invalid/b"))
    assert ["Not a directory" in str(result) for result in results] == [True, True]


def test_a_disk_that_is_full_is_told(cached: Cached) -> None:
    """Nothing half written is left; when there is room again it is fetched."""
    module = MODULE + bytes(1 << 20)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with web(Site(module)) as server:
        item = wanted(f"http://127.0.0.1:{server.port}/a.wasm")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
        try:
            refusal = cached.refusal(item)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

        assert "the cache does not take it: File too large" in refusal
        assert cached.parts() == []
        assert module == cached.bytes(item)


def test_two_processes_at_once(cached: Cached) -> None:
    """Each has the whole module, whoever is first."""
    module = MODULE + bytes(1 << 20)

    async def main(port: int) -> list[list[Fetched | SourceError]]:
        items = [wanted(f"http://127.0.0.1:{port}/a.wasm")] * 4
        return await asyncio.gather(*(Fetcher(cached.folder).fetch(items) for _ in range(4)))

    with web(Site(module)) as server:
        for results in asyncio.run(main(server.port)):
            for result in results:
                assert isinstance(result, Fetched)
                assert module == result.path.read_bytes()
    assert cached.parts() == []


def test_nothing_wanted_is_nothing_done(cached: Cached) -> None:
    """Not even a folder is made."""
    assert cached.fetch() == []
    assert not cached.folder.exists()


def test_a_refusal_is_one_line(cached: Cached) -> None:
    """A URL of a stranger's making cannot forge another one."""
    for url in ("http://127.0.0.1:1/\x1b[2J\n", "http://127.0.0.1:99999/", "http://[::1/", "oci://\n/a:b"):
        assert cached.refusal(wanted(url)).isprintable()
    assert cached.events == []
