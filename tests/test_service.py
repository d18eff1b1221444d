"""A configuration file served from start to stop, without a door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from applications import HELLO, body_of, request
from sandbox import wat
from serverless_wasm.events import ApplicationBroken, Event, InvocationFinished, Notice, RequestRefused
from serverless_wasm.messages import Response
from serverless_wasm.service import Service
from serving import started

CONFIG = """
[[applications]]
file_path = "hello.wasm"
method = "GET"
url_path = "/hello"

[[applications]]
file_path = "hello.wasm"
url_path = "/any/:name/..."
name = "any"

[[applications]]
file_path = "missing.wasm"
url_path = "/missing"

[[applications]]
file_path = "broken.wasm"
url_path = "/broken"

[[applications]]
file_path = "hello.wasm"
url_path = "/nofunction"
function = "nothing"

[[applications]]
file_path = "hello.wasm"
url_path = "/large"
name = "large"
limits = { module_size = "50B" }

[server]
slots = 8
"""


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Event]]:
    """Runs a coroutine function with a started service, stops it, and returns the events."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "hello.wasm").write_bytes(wat(HELLO))
    (tmp_path / "broken.wasm").write_bytes(b"\x7fELF")

    def run(test: Callable[[Service], Coroutine[Any, Any, None]], config: str = CONFIG) -> list[Event]:
        path = tmp_path / "config.toml"
        path.write_text(config)
        events: list[Event] = []

        async def main() -> None:
            service = await started(path, events.append)
            try:
                await test(service)
            finally:
                await service.stop()

        asyncio.run(main())
        return events

    return run


async def get(service: Service, path: str, method: str = "GET") -> Response:
    return await service.handle(request(path=path, method=method))


def test_routes_answer_and_broken_applications_are_503(serve: Any) -> None:
    """One broken application is its own trouble alone; each is told once, with the reason."""

    async def test(service: Service) -> None:
        assert body_of(await get(service, "/hello")) == b"hello"
        assert body_of(await get(service, "/any/x/y", "DELETE")) == b"hello"
        for path in ("/missing", "/broken", "/nofunction", "/large"):
            response = await get(service, path)
            assert (503, "unavailable") == (response.status, json.loads(body_of(response))["error"])

    events = serve(test)

    broken = {event.application: event.reason for event in events if isinstance(event, ApplicationBroken)}
    assert {"missing", "broken", "hello-nothing", "large"} == set(broken)
    assert "more than module_size, 50" in broken["large"]
    assert "cannot be read: No such file" in broken["missing"]
    assert "not WebAssembly" in broken["broken"]
    assert "write one of: handle" in broken["hello-nothing"]
    outcomes = [event.outcome for event in events if isinstance(event, InvocationFinished)]
    assert ["ok", "ok", "link", "link", "link", "link"] == outcomes


def test_what_has_no_route_is_refused_by_name(serve: Any) -> None:
    """404, 405 with Allow, OPTIONS answered, HEAD through GET; refusals are recorded."""

    async def test(service: Service) -> None:
        assert (await get(service, "/nothing")).status == 404
        refused = await get(service, "/hello", "POST")
        assert (405, b"GET, HEAD, OPTIONS") == (refused.status, refused.headers.get(b"allow"))
        options = await get(service, "/hello", "OPTIONS")
        assert (204, b"GET, HEAD, OPTIONS") == (options.status, options.headers.get(b"allow"))
        assert (await get(service, "*", "OPTIONS")).status == 204
        assert (await get(service, "/hello", "HEAD")).status == 200

    events = serve(test)

    assert [404, 405] == [event.status for event in events if isinstance(event, RequestRefused)]


def test_more_slots_than_the_kernel_allows_is_a_notice(serve: Any) -> None:
    """The operator reads how to have more."""

    async def test(service: Service) -> None:
        assert service.deployment.room.engine.slots < 1_000_000

    events = serve(test, CONFIG.replace("slots = 8", "slots = 1_000_000"))

    (notice,) = (event for event in events if isinstance(event, Notice))
    assert "vm.max_map_count" in notice.message


def test_service_without_a_cache_folder_says_so_and_serves(serve: Any, tmp_path: Path) -> None:
    """A folder that others may write to is never used for native code."""
    folder = tmp_path / "cache" / "serverless-wasm"
    folder.mkdir(parents=True)
    folder.chmod(0o777)

    async def test(service: Service) -> None:
        assert body_of(await get(service, "/hello")) == b"hello"

    events = serve(test)

    (notice,) = (event for event in events if isinstance(event, Notice))
    assert "chmod 700" in notice.message
    assert [] == list(folder.iterdir())


def test_service_that_is_not_running_is_503(serve: Any) -> None:
    """Before start and after stop."""
    kept: list[Service] = []

    async def test(service: Service) -> None:
        kept.append(service)

    serve(test)

    assert asyncio.run(get(kept[0], "/hello")).status == 503
