"""The service inside other programs: alone under uvicorn, mounted in FastAPI and Starlette."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from program import HELLO, Folder
from serverless_wasm import ConfigError, Service
from serverless_wasm.events import Event, InvocationFinished

ECHO_PATH = """(module (import "env" "request_get_path" (func $path (param i32 i64) (result i64)))
  (import "env" "response_set_body" (func $body (param i32 i64))) (memory (export "memory") 1)
  (func (export "handle") (call $body (i32.const 0) (call $path (i32.const 0) (i64.const 100)))))"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = Folder(tmp_path)
    folder.module("hello.wasm", HELLO)
    folder.module("path.wasm", ECHO_PATH)
    folder.config(
        '[[applications]]\nfile_path = "hello.wasm"\nurl_path = "/hello"\n'
        '[[applications]]\nfile_path = "path.wasm"\nurl_path = "/path/..."\n'
    )
    return tmp_path / "config.toml"


def client(app: object) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")  # type: ignore[arg-type] # any ASGI application


def test_mounted_it_starts_with_its_first_requests(config: Path) -> None:
    """Without a lifespan of its own, many first requests at once start it once; paths lose the mount's."""
    events: list[Event] = []
    service = Service.from_file(config, events.append)
    app = FastAPI()
    app.mount("/functions", service)

    @app.get("/own")
    def own() -> str:
        return "own"

    async def main() -> None:
        async with client(app) as http:
            answers = await asyncio.gather(*(http.get("/functions/hello") for _ in range(20)))
            assert [b"hello"] * 20 == [answer.content for answer in answers]
            assert (await http.get("/functions/path/a%20b")).text == "/path/a b"
            assert (await http.get("/own")).json() == "own"
            assert (await http.get("/functions/nothing")).status_code == 404
        await service.stop()

    asyncio.run(main())

    assert ["ok"] * 21 == [event.outcome for event in events if isinstance(event, InvocationFinished)]


def test_started_by_the_lifespan_of_the_application_around_it(config: Path) -> None:
    """As docs/operation.md shows it, with Starlette."""
    service = Service.from_file(config, lambda _event: None)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = Starlette(routes=[Mount("/x/y", service)], lifespan=lifespan)

    async def main() -> None:
        async with lifespan(app), client(app) as http:
            assert (await http.get("/x/y/hello")).content == b"hello"

    asyncio.run(main())


def test_alone_under_uvicorn(config: Path) -> None:
    """The lifespan of uvicorn starts and stops it; a second start after a stop serves again."""
    service = Service.from_file(config, lambda _event: None)
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as sock:
            server = uvicorn.Server(uvicorn.Config(service, log_config=None, lifespan="on"))
            thread = threading.Thread(target=server.run, args=([sock],))
            thread.start()
            try:
                url = f"http://127.0.0.1:{sock.getsockname()[1]}/hello"
                assert httpx.get(url).content == b"hello"
            finally:
                server.should_exit = True
                thread.join()


def test_mistakes_are_raised_when_the_file_is_read(config: Path) -> None:
    """Before any server starts, with every mistake in the text."""
    config.write_text('[[applications]]\nfile_path = 1\nurl_pth = "/"\n')

    with pytest.raises(ConfigError) as caught:
        Service.from_file(config)

    assert len(caught.value.problems) == 3
    assert f"{config}:2: applications[0].file_path" in str(caught.value)


def test_variables_are_given(config: Path) -> None:
    """What is given comes first, and a name that is not in the table is a mistake."""
    text = config.read_text().replace('"/hello"', '"{{ path }}"')
    config.write_text(text + '[variables]\npath = { default = "/other" }\n')

    async def status(service: Service) -> int:
        async with client(service) as http:
            answer = await http.get("/given")
        await service.stop()
        return answer.status_code

    assert 404 == asyncio.run(status(Service.from_file(config)))
    assert 200 == asyncio.run(status(Service.from_file(config, variables={"path": "/given"})))
    with pytest.raises(ConfigError, match=r"variables\.paths"):
        Service.from_file(config, variables={"paths": "/given"})
