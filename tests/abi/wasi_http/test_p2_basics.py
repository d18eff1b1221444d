"""wasi:clocks, random, cli, filesystem and sockets: little of each, and nothing that was not granted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from abi.wasi_http.speaking import Speaker
from serverless_wasm.abi.wasi_http import random
from serverless_wasm.abi.wasi_http.cli import CLI
from serverless_wasm.abi.wasi_http.clocks import MONOTONIC_CLOCK, WALL_CLOCK
from serverless_wasm.abi.wasi_http.filesystem import FILESYSTEM_TYPES, PREOPENS
from serverless_wasm.abi.wasi_http.host import Host, key_of
from serverless_wasm.abi.wasi_http.interface import Err, Interface, Ok, Resource
from serverless_wasm.abi.wasi_http.interfaces import INTERFACES
from serverless_wasm.abi.wasi_http.io_error import IoError
from serverless_wasm.abi.wasi_http.world import FIRST, MOST_HANDLES, Handles, World
from serverless_wasm.errors import GuestExit, HostLimit
from serverless_wasm.events import GuestLogged
from serverless_wasm.wasm.components.blueprint import Lowered, Options
from serverless_wasm.wasm.components.types import U32, Borrow, Signature


@pytest.fixture
def speaker() -> Speaker:
    """One guest's invocation."""
    return Speaker()


@pytest.fixture
def world(speaker: Speaker) -> World:
    """What the guest sees."""
    return World(speaker.invocation)


def call(world: World, interface: Interface, name: str, *values: Any) -> Any:
    function = next(each for each in interface.functions if each.name == name)
    assert len(values) == len(function.signature.params)
    return function.call(world, *values)


def named(name: str) -> Interface:
    return next(each for each in INTERFACES if each.name == name)


def test_clocks_are_coarse(world: World) -> None:
    """Whole milliseconds, whose resolution says so; the monotonic one never goes back."""
    first, second = (call(world, MONOTONIC_CLOCK, "now") for _ in range(2))
    seconds, nanoseconds = call(world, WALL_CLOCK, "now")

    assert 0 < first <= second
    assert (0, 0) == (first % 1_000_000, nanoseconds % 1_000_000)
    assert seconds > 1_600_000_000
    assert 1_000_000 == call(world, MONOTONIC_CLOCK, "resolution")
    assert (0, 1_000_000) == call(world, WALL_CLOCK, "resolution")


def test_fine_clocks_are_granted(speaker: Speaker) -> None:
    """By the configuration."""
    speaker.invocation.grants = replace(speaker.invocation.grants, precise_clocks=True)

    assert 1 == call(World(speaker.invocation), MONOTONIC_CLOCK, "resolution")


@pytest.mark.parametrize("name", ["subscribe-duration", "subscribe-instant"])
def test_sleeps_end_by_the_guests_own_clock(world: World, name: str) -> None:
    """Not before it shows the time; what has passed is ready at once, and the end of time is far."""

    async def main() -> None:
        now = call(world, MONOTONIC_CLOCK, "now")
        wanted = now + 3_000_000
        given = wanted if name == "subscribe-instant" else 3_000_000
        pollable = call(world, MONOTONIC_CLOCK, name, given)
        while not pollable.is_ready():
            await pollable.wait()
        assert call(world, MONOTONIC_CLOCK, "now") >= wanted
        assert call(world, MONOTONIC_CLOCK, name, 0).is_ready()
        never = call(world, MONOTONIC_CLOCK, name, 2**64 - 1)
        assert not never.is_ready()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(never.wait(), 0.01)

    asyncio.run(main())


def test_random(world: World) -> None:
    """As many bytes as are asked for, up to a limit; no number is the one before."""
    for interface, name in ((random.RANDOM, "random"), (random.INSECURE, "insecure-random")):
        assert 33 == len(call(world, interface, f"get-{name}-bytes", 33))
        assert b"" == call(world, interface, f"get-{name}-bytes", 0)
        numbers = {call(world, interface, f"get-{name}-u64") for _ in range(8)}
        assert len(numbers) == 8
        assert all(0 <= number < 2**64 for number in numbers)
        with pytest.raises(HostLimit, match="random"):
            call(world, interface, f"get-{name}-bytes", random.MOST + 1)
    one, other = (call(world, random.INSECURE_SEED, "insecure-seed") for _ in range(2))
    assert one != other


def test_variables_and_arguments(speaker: Speaker) -> None:
    """The application's own, and nothing of this process."""
    speaker.invocation.grants = replace(
        speaker.invocation.grants, variables={b"name": "Bärbel".encode()}, arguments=("a", "b c")
    )
    world, environment = World(speaker.invocation), named("wasi:cli/environment")

    assert [("name", "Bärbel")] == call(world, environment, "get-environment")
    assert ["app", "a", "b c"] == call(world, environment, "get-arguments")
    assert call(world, environment, "initial-cwd") is None


@pytest.mark.parametrize(
    ("name", "value", "code"), [("exit", Ok(), 0), ("exit", Err(), 1), ("exit-with-code", 7, 7)]
)
def test_exit(world: World, name: str, value: Any, code: int) -> None:
    """It ends the guest, with a code."""
    with pytest.raises(GuestExit) as caught:
        call(world, named("wasi:cli/exit"), name, value)
    assert code == caught.value.exit_code


def test_what_is_printed_is_logged(speaker: Speaker) -> None:
    """Line by line, of each stream by itself; the last one need not end."""
    world = World(speaker.invocation)
    output = call(world, named("wasi:cli/stdout"), "get-stdout")
    errors = call(world, named("wasi:cli/stderr"), "get-stderr")
    again = call(world, named("wasi:cli/stdout"), "get-stdout")
    assert output.permit() > 4096
    for stream, data in ((output, b"one "), (errors, b"err"), (again, b"line\ntwo"), (errors, b"or\n")):
        assert len(data) == stream.put(data)
        stream.flush()
    assert output.is_ready

    world.close()

    logged = [event.message for event in speaker.events if isinstance(event, GuestLogged)]
    assert ["one line", "error", "two"] == logged


def test_no_input_and_no_terminal(world: World) -> None:
    """Standard input is at its end, and nobody sits there."""
    stdin = call(world, named("wasi:cli/stdin"), "get-stdin")
    assert stdin.is_ready
    for end in ("stdin", "stdout", "stderr"):
        interface = named(f"wasi:cli/terminal-{end}")
        assert call(world, interface, f"get-terminal-{end}") is None
    assert len(CLI) == 10


def test_no_folder(world: World) -> None:
    """None is found where none was granted, and no stream fails because of one."""
    assert [] == call(world, PREOPENS, "get-directories")
    assert call(world, FILESYSTEM_TYPES, "filesystem-error-code", IoError("x")) is None


def test_tables_are_whole() -> None:
    """A method is lent its resource first; no function of one type is there twice, nor an interface."""
    for interface in INTERFACES:
        seen = [(each.name, each.signature) for each in interface.functions]
        assert all(seen.count(each) == 1 for each in seen), interface.name
        for function in interface.functions:
            if function.name.startswith("[method]"):
                name, receiver = function.signature.params[0]
                assert name == "self"
                assert isinstance(receiver, Borrow)
                assert receiver.resource.rpartition("/")[0] == interface.name
    offered = [(each.name, version) for each in INTERFACES for version in each.versions]
    assert len(offered) == len(set(offered))


@pytest.mark.parametrize(
    ("interface", "key"),
    [
        ("wasi:io/poll@0.2.0", ("wasi:io/poll", "0.2")),
        ("wasi:io/poll@0.2.12", ("wasi:io/poll", "0.2")),
        ("wasi:io/poll@0.20.1", ("wasi:io/poll", "0.20")),
        ("wasi:io/poll@1.4.2", ("wasi:io/poll", "1")),
        ("wasi:io/poll@0.0.3", ("wasi:io/poll", "0.0.3")),
        ("wasi:io/poll@0.2.0-rc.1", ("wasi:io/poll", "0.2.0-rc.1")),
        ("wasi:io/poll@0.2", ("wasi:io/poll", "0.2")),
        ("wasi:io/poll", ("wasi:io/poll", "")),
    ],
)
def test_versions(interface: str, key: tuple[str, str]) -> None:
    """Releases match by what they are compatible with, all else exactly."""
    assert key == key_of(interface)


def test_what_is_missing_is_named() -> None:
    """An interface, a function, or its type; whatever a component calls them, in one line."""
    host = Host(INTERFACES)

    def found(interface: str, name: str, signature: Signature) -> Any:
        return host.find(Lowered(interface, name, signature, Options()))

    assert "wasi:nothing/x@0.2.0 is not offered" == found("wasi:nothing/x@0.2.0", "f", Signature())
    assert "wasi:io/poll@0.2.1 f is not offered" == found("wasi:io/poll@0.2.1", "f", Signature())
    assert "other types" in found("wasi:io/poll@0.2.1", "poll", Signature((("x", U32),)))
    assert "\n" not in found("a\nb" * 100, "f", Signature())
    assert len(found("a" * 1000, "f", Signature())) < 200
    poll = next(each for each in named("wasi:io/poll").functions if each.name == "poll")
    assert poll is found("wasi:io/poll@0.2.9", "poll", poll.signature)


def test_handles_are_bounded() -> None:
    """More than there may be ends the guest; what was left is dropped, children first, however deep."""
    dropped: list[int] = []

    class Link(Resource):
        __slots__ = ("number",)
        number: int

        def drop(self) -> None:
            dropped.append(self.number)

    handles, last = Handles(), None
    for number in range(MOST_HANDLES - FIRST + 1):
        link = Link(last if number < 2000 else None)
        link.number = number
        handles.add(link)
        last = link
    with pytest.raises(HostLimit, match="handles"):
        handles.add(Link())

    handles.close()

    assert sorted(dropped) == list(range(MOST_HANDLES - FIRST + 1))
    chain = [number for number in dropped if number < 2000]
    assert chain == sorted(chain, reverse=True)
