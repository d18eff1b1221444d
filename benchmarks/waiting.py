"""Who waits: a server that asks a backend for each request and answers with what it says, at GET /wait.

A backend's port and a number of guests come in; contestants with room for so many go out.
It must never compare a server that turns guests away with one that has room, without saying so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks.backend import ANSWER
from benchmarks.catalogue import CATALOGUE, GRANIAN
from benchmarks.contestants import Contestant, Launch, NotStarted
from benchmarks.install import PEERS
from benchmarks.load import HOST, Request
from benchmarks.modules import module
from benchmarks.subject import Application, subject

REQUEST = Request(path="/wait", answer=ANSWER)
SPARE = 64
"""Slots beyond the guests that wait, for those that only say hello."""
_BACKLOG = "16384"


def ours(backend: int, guests: int) -> Contestant:
    """The service, with limits that let so many guests of one application wait at once, for minutes."""
    limits = (
        f'concurrency = {guests}, queue = {guests}, application_sockets = {guests}, timeout = "300s", '
        'socket_timeout = "300s", connect_timeout = "60s"'
    )
    wait = Application(
        url_path=REQUEST.path,
        module=module("ask"),
        more=f'env = {{ backend = "{HOST}:{backend}" }}\nlimits = {{ {limits} }}',
    )
    # A crowd connects, is looked at, and only then asks.
    silence = 'header_timeout = "120s"\nidle_timeout = "300s"'
    server = f"slots = {guests + SPARE}\nconnections = {2 * guests + 1000}\n{silence}"
    return subject([Application(url_path="/", module=module("hello")), wait], server=server)


def others(backend: int) -> tuple[Contestant, ...]:
    """The same without WebAssembly: asyncio's streams behind granian, and node."""
    environment = {"BACKEND": f"{HOST}:{backend}"}
    room = ("--backlog", _BACKLOG, "--backpressure", _BACKLOG)
    granian = tuple(word for word in GRANIAN if word not in {"--backlog", "4096"})

    def python(_: Path, port: int) -> Launch:
        command = (*granian, *room, "--port", str(port), "fan_out:rsgi")
        return Launch(command=command, environment=environment)

    def node(_: Path, port: int) -> Launch:
        return Launch(command=("node", str(PEERS / "fan_out.mjs"), str(port)), environment=environment)

    return (
        _needing(
            "granian-rsgi",
            "asyncio-streams",
            "Python's asyncio streams behind granian, no WebAssembly",
            python,
        ),
        _needing("node-fresh", "node-net", "node's sockets, no WebAssembly", node),
    )


def _needing(peer: str, name: str, about: str, prepare: Callable[[Path, int], Launch]) -> Contestant:
    """A contestant that needs what a peer of the catalogue needs."""

    def prepared(folder: Path, port: int) -> Launch:
        if missing := CATALOGUE[peer].missing:
            raise NotStarted(f"{missing} is not installed")
        return prepare(folder, port)

    return Contestant(name=name, about=about, isolation="none", prepare=prepared)
