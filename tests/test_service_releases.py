"""One release after the other: what is in flight, unchanged, withdrawn, discarded, and what is freed."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from address_space import little_address_space
from applications import body_of, request
from configurations import application, configuration
from processes.running import asks, says
from sandbox import wat
from serverless_wasm.config.configuration import ApplicationConfig
from serverless_wasm.deployment import Deployment
from serverless_wasm.errors import EngineError, Unavailable
from serverless_wasm.events import Event, InvocationFinished
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Response
from serverless_wasm.release import Builder, Release
from serverless_wasm.service import Service
from serverless_wasm.wasm.artifacts import Cache, open_cache
from serverless_wasm.wasm.code import InlineCompiler


def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, test: Test) -> list[Event]:
    """Runs a test with a service that serves nothing yet, and stops it; the events."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    events: list[Event] = []

    async def main() -> None:
        cache = open_cache(events.append)
        service = Service(events.append, cache)
        try:
            await test(Bench(tmp_path, cache, service))
        finally:
            await service.stop()

    asyncio.run(main())
    return events


class Bench:
    """A service, and releases of modules in a folder."""

    def __init__(self, folder: Path, cache: Cache, service: Service) -> None:
        self.service = service
        self._folder = folder
        self._cache = cache
        self._builder = Builder(cache, InlineCompiler)

    async def release(self, *applications: ApplicationConfig, **fields: Any) -> Release:
        """The release of these applications."""
        return await self._builder.build(configuration(self._folder / "c.toml", *applications, **fields))

    async def serve(self, *applications: ApplicationConfig, **fields: Any) -> Deployment:
        """Serves a release of these applications."""
        deployment = await self.service.prepare(await self.release(*applications, **fields))
        await self.service.commit()
        return deployment

    def says(self, name: str, text: str = "", **fields: Any) -> ApplicationConfig:
        """An application whose guest answers with the text."""
        path = self._folder / f"{name}-{text}.wasm"
        path.write_bytes(wat(says(text or name)))
        return application(name, file_path=path, **fields)

    def asks(self, name: str, backend: socket.socket) -> ApplicationConfig:
        """An application whose guest answers with what a backend says."""
        target = f"127.0.0.1:{backend.getsockname()[1]}"
        path = self._folder / f"{name}.wasm"
        path.write_bytes(wat(asks(backend)))
        return application(name, file_path=path, env={"BACKEND": target})

    async def response(self, path: str, method: str = "GET") -> Response:
        """The answer to a request."""
        return await self.service.handle(request(path=path, method=method))

    async def get(self, path: str) -> bytes | int:
        """The body of an answer, or its status if that is not 200."""
        response = await self.response(path)
        return body_of(response) if response.status == 200 else response.status


Test = Callable[[Bench], Coroutine[Any, Any, None]]


@pytest.fixture
def backend() -> Iterator[socket.socket]:
    """Whom guests ask."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


async def meet(backend: socket.socket) -> socket.socket:
    """The next guest that asks."""
    return (await asyncio.get_running_loop().sock_accept(backend))[0]


@pytest.mark.parametrize("fields", [{}, {"slots": 9}], ids=["same room", "other room"])
def test_what_is_in_flight_finishes_where_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: socket.socket, fields: dict[str, Any]
) -> None:
    """A guest that waits over a commit is answered by its old code; then that deployment is freed."""

    async def test(bench: Bench) -> None:
        old = await bench.serve(bench.asks("a", backend))
        waiting = asyncio.create_task(bench.get("/a"))
        guest = await meet(backend)
        new = await bench.serve(bench.says("a", "world"), **fields)

        assert b"world" == await bench.get("/a")
        assert (1, 0, 1) == (old.in_flight, new.in_flight, bench.service.in_flight)
        assert (old.room is new.room) is not bool(fields)
        ticker, kept = old.room.engine.ticker, weakref.ref(old)
        assert ticker._thread.is_alive()
        with guest:
            guest.sendall(b"late")
        assert b"late" == await waiting
        del waiting, old
        await until(lambda: collected(kept))
        assert ticker._thread.is_alive() is not bool(fields)
        assert b"world" == await bench.get("/a")

    served(tmp_path, monkeypatch, test)


def collected(kept: weakref.ref[Any]) -> bool:
    """Whether nobody has it any more, not even a circle."""
    gc.collect()
    return kept() is None


async def until(happened: Callable[[], bool]) -> None:
    """Gives way until it has happened."""
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("fields", [{}, {"slots": 9}], ids=["same room", "other room"])
def test_deployments_do_not_pile_up_in_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    """The collector leaves alone what is served; what was replaced is gone with the next reload.

    Also when it is in a circle that was frozen while it was needed.
    """
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    async def main() -> None:
        cache = open_cache(lambda _: None)
        service = Service(lambda _: None, cache, [0, 0])
        bench = Bench(tmp_path, cache, service)
        kept: list[weakref.ref[Any]] = []
        circle: list[Any] = []
        try:
            for number in range(6):
                other = fields if number % 2 else {}
                deployment = await bench.serve(bench.says("a", str(number)), **other)
                assert gc.isenabled()
                assert gc.get_freeze_count() > 0
                assert b"%d" % number == await bench.get("/a")
                await until(lambda: not service._retiring)
                kept.append(weakref.ref(deployment))
                circle = [deployment]  # nobody has the one before any more but itself
                circle.append(circle)
                del deployment
                alive = {index for index, item in enumerate(kept) if item() is not None}
                assert alive <= {number - 1, number}
        finally:
            await service.stop()

    try:
        asyncio.run(main())
    finally:
        gc.unfreeze()


def test_the_collector_of_a_host_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside another program nothing is frozen, and what is switched off stays so."""

    async def test(bench: Bench) -> None:
        await bench.serve(bench.says("a", "one"))
        await bench.serve(bench.says("a", "two"))
        assert not gc.isenabled()
        assert frozen == gc.get_freeze_count()

    frozen = gc.get_freeze_count()
    gc.disable()
    try:
        served(tmp_path, monkeypatch, test)
    finally:
        gc.enable()


def test_what_is_discarded_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not served, freed, its engine closed unless it is shared; also when another one is prepared instead."""

    async def test(bench: Bench) -> None:
        old = await bench.serve(bench.says("a", "first"))
        for fields in ({}, {"slots": 9}, {"slots": 10}):
            candidate = await bench.service.prepare(await bench.release(bench.says("a", "other"), **fields))
            ticker, kept = candidate.room.engine.ticker, weakref.ref(candidate)
            assert b"first" == await bench.get("/a")
            await bench.service.discard()
            assert ticker._thread.is_alive() is (not fields)
            del candidate
            await until(partial(collected, kept))
        one = await bench.service.prepare(await bench.release(bench.says("a", "one"), slots=11))
        two = await bench.service.prepare(await bench.release(bench.says("a", "two"), slots=12))
        assert (False, True) == tuple(item.room.engine.ticker._thread.is_alive() for item in (one, two))
        await bench.service.commit()
        assert b"two" == await bench.get("/a")
        await until(lambda: not old.room.engine.ticker._thread.is_alive())

    served(tmp_path, monkeypatch, test)


def test_a_preparation_that_nobody_waits_for_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that loads modules cannot be stopped: what it makes is closed, and nothing of it is served."""
    before = threading.active_count()

    async def test(bench: Bench) -> None:
        await bench.serve(bench.says("a", "first"))
        release = await bench.release(bench.says("a", "other"), slots=9)
        for _ in range(3):
            preparing = asyncio.create_task(bench.service.prepare(release))
            await asyncio.sleep(0)  # it has begun
            await asyncio.sleep(0)
            preparing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await preparing
        assert b"first" == await bench.get("/a")
        await bench.service.discard()
        with pytest.raises(Unavailable):
            await bench.service.commit()
        assert b"first" == await bench.get("/a")

    served(tmp_path, monkeypatch, test)
    assert before == threading.active_count()


def test_a_stop_in_the_middle_of_a_preparation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits for what is being loaded, then frees it."""
    before = threading.active_count()

    async def test(bench: Bench) -> None:
        await bench.serve(bench.says("a"))
        release = await bench.release(bench.says("a", "other"))
        preparing = asyncio.create_task(bench.service.prepare(release))
        await asyncio.sleep(0)
        await bench.service.stop()
        await preparing

    served(tmp_path, monkeypatch, test)
    assert before == threading.active_count()


def test_what_is_unchanged_is_the_same_application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue and its rate survive a reload; one changed field, or another engine, makes it another."""

    async def test(bench: Bench) -> None:
        kept = bench.says("kept", limits=Limits(rate=1.0))
        first = await bench.serve(kept, bench.says("b"))
        assert b"kept" == await bench.get("/kept")
        second = await bench.serve(
            bench.says("c"), replace(kept, line=7), bench.says("b", function="nothing")
        )
        assert first.applications[0] is second.applications[1]
        assert first.applications[1] is not second.applications[2]
        third = await bench.serve(replace(kept, line=8), slots=9)
        assert third.applications[0] is not second.applications[1]
        fourth = await bench.serve(replace(kept, env={"KEY": "value"}), slots=9)
        assert fourth.applications[0] is not third.applications[0]
        assert fourth.room is third.room

    served(tmp_path, monkeypatch, test)


def test_rate_survives_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload is no way to more requests."""

    async def test(bench: Bench) -> None:
        slow = bench.says("slow", limits=Limits(rate=1 / 3600))
        await bench.serve(slow)
        assert [b"slow", 429] == [await bench.get("/slow") for _ in range(2)]
        await bench.serve(bench.says("other"), slow)
        assert [b"other", 429] == [await bench.get("/other"), await bench.get("/slow")]

    served(tmp_path, monkeypatch, test)


def test_other_engine_settings_make_another_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots, stack, table elements, fuel, memory; nothing else does."""

    async def test(bench: Bench) -> None:
        hello = bench.says("a")
        room = (await bench.serve(hello)).room
        assert room is (await bench.serve(hello, bench.says("b"), drain=3.0)).room
        changes: list[dict[str, Any]] = [{"slots": 9}, {"stack": 512 * 1024}, {"memory": 10**8}]
        for change in changes:
            before, room = room, (await bench.serve(hello, **change)).room
            assert before is not room
        for limits in (Limits(table_elements=200_000), Limits(fuel=10**9)):
            before, room = room, (await bench.serve(replace(hello, limits=limits))).room
            assert before is not room
            assert b"a" == await bench.get("/a")

    served(tmp_path, monkeypatch, test)


def test_reloads_give_their_address_space_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new engine of a third of the address space at each reload, one after the other."""
    threads = threading.active_count()

    async def test(bench: Bench) -> None:
        for turn in range(6):
            await bench.serve(bench.says("a", f"turn {turn}"), slots=7_000 + turn)
            assert b"turn %d" % turn == await bench.get("/a")
            await until(lambda: len(bench.service._alive) == 1)

    served(tmp_path, monkeypatch, test)
    assert threads == threading.active_count()


def test_an_engine_that_cannot_be_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first, the next and the one after it: what was served is."""

    async def test(bench: Bench) -> None:
        await bench.serve(bench.says("a"))
        release = await bench.release(bench.says("a", "other"), slots=2_000)
        with little_address_space():
            for _ in range(2):
                with pytest.raises(EngineError, match="address space"):
                    await bench.service.prepare(release)
                assert b"a" == await bench.get("/a")
        with pytest.raises(EngineError):
            await bench.service.commit()
        assert b"a" == await bench.get("/a")
        await bench.service.prepare(release)
        await bench.service.commit()
        assert b"other" == await bench.get("/a")

    served(tmp_path, monkeypatch, test)


def test_withdrawn_applications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with the outcome worker_lost, until they are put back; a reload of the same puts all back."""

    async def test(bench: Bench) -> None:
        await bench.serve(bench.says("a"), bench.says("b"))
        bench.service.withdraw({"a", "nobody"})
        response = await bench.response("/a")
        assert (503, "unavailable") == (response.status, json.loads(body_of(response))["error"])
        assert b"b" == await bench.get("/b")
        bench.service.withdraw({"b"})
        assert [b"a", 503] == [await bench.get("/a"), await bench.get("/b")]
        await bench.serve(bench.says("a"), bench.says("b"))
        assert [b"a", b"b"] == [await bench.get("/a"), await bench.get("/b")]
        await bench.service.prepare(await bench.release(bench.says("a"), bench.says("b")))
        await bench.service.commit(frozenset({"a"}))
        assert [503, b"b"] == [await bench.get("/a"), await bench.get("/b")]

    events = served(tmp_path, monkeypatch, test)

    outcomes = [event.outcome for event in events if isinstance(event, InvocationFinished)]
    assert ["worker_lost", "ok", "ok", "worker_lost", "ok", "ok", "worker_lost", "ok"] == outcomes


def test_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alive from the first moment; ready while it serves and does not stop; no application answers for it."""

    async def ask(bench: Bench, question: str, method: str = "GET") -> tuple[int, Any]:
        response = await bench.response(f"/.well-known/serverless-wasm/{question}", method)
        assert response.status != 200 or response.headers.get(b"cache-control") == b"no-store"
        return response.status, json.loads(body_of(response))

    async def test(bench: Bench) -> None:
        assert 200 == (await ask(bench, "health"))[0]
        assert 503 == (await ask(bench, "ready"))[0]
        await bench.serve(bench.says("all", url_path="/...", methods=()))
        for question in ("health", "ready"):
            assert (200, {"status": "ok", "in_flight": 0}) == await ask(bench, question)
            assert 200 == (await ask(bench, question, "HEAD"))[0]
            assert 405 == (await ask(bench, question, "POST"))[0]
        assert {404} == {(await ask(bench, other))[0] for other in ("", "x", "health/", "ready/x", "Health")}
        assert b"all" == await bench.get("/.well-known/serverless-wasm")
        bench.service.draining = True
        assert (200, {"status": "draining", "in_flight": 0}) == await ask(bench, "health")
        assert (503, {"status": "draining", "in_flight": 0}) == await ask(bench, "ready")

    served(tmp_path, monkeypatch, test)
