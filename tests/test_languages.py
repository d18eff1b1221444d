"""The samples of samples/cgi and samples/components, built by scripts/samples, served as their files say."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from program import Folder, Service
from serverless_wasm.server.intake import LOW_WATER

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples/cgi"
COMPONENTS = ROOT / "samples/components"
BUILT = ROOT / ".samples"
NAMES = {
    "c": "C",
    "cpp": "C++",
    "zig": "Zig",
    "go": "Go",
    "go-reactor": "Go as a reactor",
    "assemblyscript": "AssemblyScript",
    "rust": "Rust",
    "javascript": "JavaScript",
    "wws": "JSON",
    "lua": "Lua",
    "python": "Python",
    "php": "PHP",
    "ruby": "Ruby",
}
"""By its route, how each sample calls itself."""
COMPONENT_NAMES = {"c": "C", "javascript": "JavaScript", "python": "Python"}
"""The same for components."""
CHEAP = ("c", "cpp", "zig", "go", "go-reactor", "assemblyscript", "component-c")
"""Built wherever the tests run: two minutes the first time. Others: once built, or LANGUAGES=all."""
MODULES = {"wws": "javascript"}
BACKEND = "127.0.0.1:8081"
"""What components call, in their configuration."""
NOT_INSTALLED = 3
"""Exit code of scripts/samples when a registry does not answer, or a program of its own is not there."""

# A first build installs the compilers from registries, and Zig builds its C library.
pytestmark = pytest.mark.timeout(1200)


@cache
def module(sample: str) -> Path:
    """Its module, built where it has to be; skips the test where it cannot or need not be."""
    language = MODULES.get(sample, sample)
    path = BUILT / f"{language}.wasm"
    if language not in CHEAP and not path.exists() and os.environ.get("LANGUAGES") != "all":
        pytest.skip(f"scripts/samples {language} was not run, and LANGUAGES=all is not set")
    command = [str(ROOT / "scripts/samples"), language]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == NOT_INSTALLED:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr
    return path


@contextmanager
def served(
    folder: Path, sample: str, samples: Path = SAMPLES, backend: str = BACKEND
) -> Iterator[tuple[httpx.Client, Service]]:
    """A client of the sample's application, as its folder's file has it, and the running program."""
    head, *tables = (samples / "config.toml").read_text().split("[[applications]]\n")
    (table,) = (table for table in tables if re.search(rf'url_path = "/{sample}(/\.\.\.)?"', table))
    place = folder / "samples" / samples.name
    if not place.exists():
        shutil.copytree(samples, place)
    (folder / ".samples").mkdir(exist_ok=True)
    shutil.copy(module(sample if samples == SAMPLES else f"component-{sample}"), folder / ".samples")
    (place / "config.toml").write_text(
        head.replace("127.0.0.1:8080", "127.0.0.1:0") + "[[applications]]\n" + table.replace(BACKEND, backend)
    )
    with (
        Folder(place).serve() as service,
        httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60) as client,
    ):
        yield client, service


@pytest.mark.parametrize(("sample", "name"), NAMES.items())
def test_sample_answers(tmp_path: Path, sample: str, name: str) -> None:
    """Each greets whom the query names, answers POST with the body in capitals, and says so in the log."""
    with served(tmp_path, sample) as (client, service):
        ada = client.get(f"/{sample}?name=Ada&greeting=none")
        said = service.record("guest_logged")["message"]
        world, option = client.get(f"/{sample}"), client.get(f"/{sample}?-v")
        large = client.post(f"/{sample}", content=b"0123456789abcdef" * 8192)

    assert [200] * 4 == [answer.status_code for answer in (ada, world, option, large)]
    assert ada.headers["content-type"] == "text/plain; charset=utf-8"
    assert ada.text == f"Hello, Ada, from {name}"
    assert world.text == option.text == f"Hello, world, from {name}"  # no option of an interpreter
    assert large.content == b"0123456789ABCDEF" * 8192
    assert said == f"{name} answers GET"


class Backend(BaseHTTPRequestHandler):
    """Answers 201 with what it was asked for."""

    def do_GET(self) -> None:
        """The path, as text."""
        self.send_response(201)
        self.end_headers()
        self.wfile.write(f"asked for {self.path}".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Nothing: the log is the test's."""


@contextmanager
def backend() -> Iterator[str]:
    """A server that a component may call; where it listens."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("sample", "name"), COMPONENT_NAMES.items())
def test_component_answers(tmp_path: Path, sample: str, name: str) -> None:
    """As the other samples; and clock, random, parts with pauses, and a call of a backend."""
    with backend() as place, served(tmp_path, sample, COMPONENTS, place) as (client, service):
        ada = client.get(f"/{sample}?greeting=none&name=Ada")
        said = service.record("guest_logged")["message"]
        world, large = client.get(f"/{sample}"), client.post(f"/{sample}", content=b"0123456789abcdef" * 8192)
        dice = [client.get(f"/{sample}/dice").text for _ in range(20)]
        fetched = client.get(f"/{sample}/backend")
        with client.stream("GET", f"/{sample}/ticks") as answer:
            ticks = list(answer.iter_text())

    assert ada.headers["content-type"] == "text/plain; charset=utf-8"
    assert (ada.status_code, ada.text) == (200, f"Hello, Ada, from {name}")
    assert world.text == f"Hello, world, from {name}"
    assert said == f"{name} answers GET"
    assert large.content == b"0123456789ABCDEF" * 8192
    found = [re.fullmatch(r"second (\d+), a ([1-6])", text) for text in dice]
    assert all(abs(int(each[1]) - time.time()) < 600 for each in found if each)
    assert len({each[2] for each in found if each}) > 1
    assert (fetched.status_code, fetched.text) == (201, "asked for /greeting")
    assert "".join(ticks) == "tick 1\ntick 2\ntick 3\n"
    assert len(ticks) > 1  # not all at once


@pytest.mark.parametrize("sample", COMPONENT_NAMES)
def test_component_answers_while_it_is_asked(tmp_path: Path, sample: str) -> None:
    """What has arrived of a body is answered before the rest of it is sent."""
    with (
        served(tmp_path, sample, COMPONENTS) as (_, service),
        socket.create_connection(("127.0.0.1", service.port), timeout=60) as client,
    ):
        head = f"POST /{sample} HTTP/1.1\r\nHost: a\r\nContent-Length: {LOW_WATER + 3}\r\n\r\n"
        client.sendall(head.encode() + b"a" * LOW_WATER)  # with less of it no guest is started
        until(client, b"AAA")
        client.sendall(b"bcd")
        until(client, b"BCD")


def until(client: socket.socket, wanted: bytes) -> None:
    """Reads until these bytes have come."""
    seen = b""
    while wanted not in seen:
        part = client.recv(4096)
        assert part, seen
        seen += part


LUA = r"""
local function told(...) return table.concat({...}, " ") end
local function depth(n)
  if n == 0 then error("deep", 0) end
  error(select(2, pcall(depth, n - 1)) .. n, 0)
end
local again = coroutine.wrap(function(a) for i = 1, 3 do a = a + coroutine.yield(a) end error("over", 0) end)
local sum = 0
for i = 1, 100000 do if not pcall(error, i) then sum = sum + 1 end end
io.write("Content-Type: text/plain\n\n")
io.write(told(select(2, pcall(depth, 3))), ",", again(1), again(10), again(100), ",", sum, ",")
io.write(told(select(2, pcall(again, 1))), ",", select(2, pcall(string.rep)):match("bad argument"))
if os.getenv("QUERY_STRING") == "fail" then error("not caught") end
"""


def test_errors_of_lua_are_caught_where_lua_says(tmp_path: Path) -> None:
    """Protected calls within each other, coroutines, thousands of errors; one that nobody catches is 500."""
    shutil.copytree(SAMPLES, tmp_path / "samples/cgi")
    (tmp_path / "samples/cgi/lua/hello.lua").write_text(LUA)
    with served(tmp_path, "lua") as (client, service):
        good = client.get("/lua")
        bad = client.get("/lua?fail")
        said = service.record("guest_logged")["message"]
        after = client.get("/lua")

    assert good.text == "deep123,111111,100000,over,bad argument"
    assert bad.status_code == 500
    assert "not caught" in said
    assert after.text == good.text


def test_every_sample_is_served_and_documented() -> None:
    """No application, no folder and no row of the table without its sample, and none of them missing."""
    programs, components = (
        {application["url_path"].removesuffix("/...").strip("/") for application in read["applications"]}
        for read in (tomllib.loads((folder / "config.toml").read_text()) for folder in (SAMPLES, COMPONENTS))
    )
    table = (ROOT / "docs/languages.md").read_text().split("| --- ", 1)[1].split("\n\n", 1)[0]
    rows = {word for row in table.splitlines() for word in re.findall(r"^\| \[`([a-z-]+)`\]", row)}

    assert programs == {folder.name for folder in SAMPLES.iterdir() if folder.is_dir()} == set(NAMES)
    assert (
        components
        == {folder.name for folder in COMPONENTS.iterdir() if folder.is_dir()}
        == set(COMPONENT_NAMES)
    )
    assert rows == {*NAMES, *(f"component-{name}" for name in COMPONENT_NAMES)}
