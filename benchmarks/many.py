"""Many small applications that differ in what they say, for us and for workerd: same bytes, same paths.

A number of applications comes in; a contestant that serves them at /00000, /00001 and so on goes out.
It must never give two applications the same module: a cache would make one of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import wasmtime

from benchmarks.catalogue import CATALOGUE
from benchmarks.contestants import Contestant, Launch, NotStarted
from benchmarks.install import PEERS, WORKERD
from benchmarks.load import Request
from benchmarks.modules import BENCH, GUESTS
from benchmarks.subject import NAME, Application, subject

_FOLDER = "a"
"""Beside the configuration, so that its 10,000 paths are short: the file may have 1 MiB."""
_HEAD = 'using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = (\n  services = [\n'


def request(number: int) -> Request:
    """What an application is asked, and what it answers."""
    return Request(path=f"/{number:05d}", answer=b"Hello from %05d\n" % number)


def ours(applications: int, label: str = NAME) -> Contestant:
    """The service with so many applications."""
    tables = [
        Application(url_path=request(number).path, module=Path(_FOLDER, f"{number:05d}.wasm"))
        for number in range(applications)
    ]
    plain = subject(tables, name=label)

    def prepare(folder: Path, port: int) -> Launch:
        (folder / _FOLDER).symlink_to(_modules(applications))
        return plain.prepare(folder, port)

    return replace(plain, prepare=prepare)


def workerd(applications: int, label: str) -> Contestant:
    """The peer with so many workers, and one in front of them that routes."""

    def prepare(folder: Path, port: int) -> Launch:
        if missing := CATALOGUE["workerd-fresh"].missing:
            raise NotStarted(f"{missing} is not installed")
        (folder / _FOLDER).symlink_to(_modules(applications))
        for name in ("many.js", "many_router.js"):
            (folder / name).write_bytes((PEERS / name).read_bytes())
        (folder / "config.capnp").write_text(_capnp(applications, port), encoding="utf-8")
        return Launch(command=(str(WORKERD), "serve", str(folder / "config.capnp")))

    return Contestant(
        name=label, about="V8, a worker for each application", isolation="fresh", prepare=prepare
    )


def _modules(applications: int) -> Path:
    """The folder of the modules, the missing ones built."""
    text = (GUESTS / "numbered.wat").read_text(encoding="utf-8")
    folder = BENCH / "applications" / hashlib.sha256(text.encode()).hexdigest()[:8]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(applications):
        built = folder / f"{number:05d}.wasm"
        if not built.exists():
            part = built.with_suffix(".part")
            part.write_bytes(wasmtime.wat2wasm(text.replace("00000", f"{number:05d}")))
            part.replace(built)
    return folder


def _capnp(applications: int, port: int) -> str:
    numbers = [f"{number:05d}" for number in range(applications)]
    bindings = ", ".join(f'(name = "a{number}", service = "a{number}")' for number in numbers)
    router = _service(
        "router", '(name = "main.js", esModule = embed "many_router.js")', f"bindings = [{bindings}]"
    )
    workers = [
        _service(
            f"a{number}",
            '(name = "main.js", esModule = embed "many.js"), '
            f'(name = "guest.wasm", wasm = embed "{_FOLDER}/{number}.wasm")',
        )
        for number in numbers
    ]
    door = f'(name = "http", address = "127.0.0.1:{port}", http = (), service = "router")'
    services = ",\n".join([router, *workers])
    return f"{_HEAD}{services} ],\n  sockets = [ {door} ] );\n"


def _service(name: str, modules: str, more: str = "") -> str:
    date = 'compatibilityDate = "2026-01-01"'
    return f'    (name = "{name}", worker = (modules = [{modules}], {", ".join(filter(None, (date, more)))}))'
