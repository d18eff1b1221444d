"""The samples of samples/cgi, built by scripts/samples and served as samples/cgi/config.toml says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import pytest

from program import Folder, Service

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples/cgi"
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
CHEAP = ("c", "cpp", "zig", "go", "go-reactor", "assemblyscript")
"""Built wherever the tests run: two minutes the first time. Others: once built, or LANGUAGES=all."""
MODULES = {"wws": "javascript"}
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
def served(folder: Path, sample: str) -> Iterator[tuple[httpx.Client, Service]]:
    """A client of the sample's application, as samples/cgi/config.toml has it, and the running program."""
    head, *tables = (SAMPLES / "config.toml").read_text().split("[[applications]]\n")
    (table,) = (table for table in tables if f'url_path = "/{sample}"' in table)
    place = folder / "samples/cgi"
    if not place.exists():
        shutil.copytree(SAMPLES, place)
    (folder / ".samples").mkdir(exist_ok=True)
    shutil.copy(module(sample), folder / ".samples")
    (place / "config.toml").write_text(
        head.replace("127.0.0.1:8080", "127.0.0.1:0") + "[[applications]]\n" + table
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
    configuration = tomllib.loads((SAMPLES / "config.toml").read_text())
    table = (ROOT / "docs/languages.md").read_text().split("| --- ", 1)[1].split("\n\n", 1)[0]
    rows = {word for row in table.splitlines() for word in re.findall(r"^\| \[`([a-z-]+)`\]", row)}

    assert {application["url_path"].strip("/") for application in configuration["applications"]} == set(NAMES)
    assert {folder.name for folder in SAMPLES.iterdir() if folder.is_dir()} == set(NAMES)
    assert rows == set(NAMES)
