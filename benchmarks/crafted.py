"""Peers made for one scenario: with a host function to call, a bad application beside a good one, and so on.

Nothing comes in; contestants by the catalogue's names go out, which are started as those are.
It must never give a peer less than the subject has: the same guest's work, and a port to itself where it can.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.catalogue import CATALOGUE, GRANIAN, HERE, filled
from benchmarks.contestants import Contestant, Launch, NotStarted, free_port
from benchmarks.install import PEERS, WORKERD
from benchmarks.modules import ROOT, module

GREETING = "Hello, world!\n"
"""What the host has to give in every host call."""
BAD_PORT = "bad-port"
"""A file in a contestant's folder with the bad application's port, where that is not the good one's."""


def calling() -> tuple[Contestant, ...]:
    """Those that answer GET /calls/N with the bytes that N host calls gave the guest."""
    return (
        _like("workerd-fresh", "V8, an import in JavaScript", _calls_workerd),
        _like("naive-wasmtimepy", "the wheel's public API, Linker.define_func", _calls_naive),
        _like("extism-fresh", "a host function of a plugin", _calls_extism),
    )


def neighbours() -> tuple[Contestant, ...]:
    """Those that have, beside hello, all kinds of bad guests at GET /bad/KIND."""
    return (
        _like("workerd-fresh", "two workers in one process", _neighbour_workerd),
        _like("node-fresh", "two routes in one process", _neighbour_node),
    )


def echoing(*names: str) -> tuple[Contestant, ...]:
    """The catalogue's, with a guest that declares memory for bodies of at most 1 MiB, as ours does."""
    return tuple(_like(name, CATALOGUE[name].contestant.about, _echo(name)) for name in names)


def _echo(name: str) -> Callable[[Path, int], Launch]:
    def prepare(folder: Path, port: int) -> Launch:
        launch = CATALOGUE[name].contestant.prepare(folder, port)
        shutil.copy(module("peers"), folder)
        shutil.copy(
            module("peers_echo_1mib"), folder / "peers_echo.wasm"
        )  # workerd's, and theirs with $GUESTS
        return replace(launch, environment={**launch.environment, "GUESTS": str(folder)})

    return prepare


def _like(name: str, about: str, prepare: Callable[[Path, int], Launch]) -> Contestant:
    """The catalogue's contestant with other contents, and the same needs."""

    def prepared(folder: Path, port: int) -> Launch:
        if missing := CATALOGUE[name].missing:
            raise NotStarted(f"{missing} is not installed")
        return prepare(folder, port)

    return replace(CATALOGUE[name].contestant, about=about, prepare=prepared)


def _workerd(folder: Path, port: int, *files: str) -> Launch:
    """Runs workerd with the first of the files as its configuration, the others beside it."""
    for name in files:
        if name.endswith(".wasm"):
            shutil.copy(module(name.removesuffix(".wasm")), folder)
        else:
            filled(name, folder, port)
    return Launch(command=(str(WORKERD), "serve", str(folder / files[0])))


def _calls_workerd(folder: Path, port: int) -> Launch:
    return _workerd(folder, port, "calls.capnp", "calls.js", "peers_calls.wasm")


def _granian(application: str, port: int, *guests: str) -> Launch:
    for guest in guests:
        module(guest)
    command = (*GRANIAN, "--port", str(port), f"benchmarks.peers.{application}")
    return Launch(command=command, environment={**HERE, "PYTHONPATH": str(ROOT)})


def _calls_naive(_: Path, port: int) -> Launch:
    return _granian("calls_naive:rsgi", port, "peers", "peers_echo", "peers_calls")


def _calls_extism(_: Path, port: int) -> Launch:
    return _granian("calls_extism:rsgi", port, "peers_calls_extism")


def _neighbour_workerd(folder: Path, port: int) -> Launch:
    files = ("neighbour.js", "workerd.js", "peers.wasm", "peers_echo.wasm", "peers_bad.wasm")
    launch = _workerd(folder, port, "neighbour.capnp", *files)
    config, bad = folder / "neighbour.capnp", str(free_port())
    config.write_text(config.read_text(encoding="utf-8").replace("@BAD_PORT@", bad), encoding="utf-8")
    (folder / BAD_PORT).write_text(bad, encoding="utf-8")
    return launch


def _neighbour_node(_: Path, port: int) -> Launch:
    for guest in ("peers", "peers_echo", "peers_bad"):
        module(guest)
    return Launch(command=("node", str(PEERS / "neighbour.mjs"), str(port)), environment=HERE)
