"""The calls of WASI about the process: arguments, environment, chance, its end, and what it has not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from abi.commands import MEMORY, MORE, RESULT, ROOM, TEXT, Command, Commands, Streams, Test
from serverless_wasm.abi.wasi.functions import FUNCTIONS, NAMESPACE
from serverless_wasm.abi.wasi.process import Process
from serverless_wasm.errors import GuestExit, GuestTrap, HostLimit

VALUES = (b"", b"one", "zwei \U0001f980".encode(), b"a=b", b"x" * 200)


def test_every_call_is_there() -> None:
    """All 46 calls are offered, each under its name, and none under two."""
    assert len({function.name for function in FUNCTIONS}) == len(FUNCTIONS) == 46
    assert {function.module for function in FUNCTIONS} == {NAMESPACE}
    assert {function.name: function.type.results for function in FUNCTIONS if not function.type.results} == {
        "proc_exit": ()
    }


@pytest.mark.parametrize("name", ["args", "environ"])
@pytest.mark.parametrize("values", [(), VALUES])
def test_arguments_and_environment(commands: Commands, name: str, values: tuple[bytes, ...]) -> None:
    """A guest is told how many there are and how much room they take, and finds each at its pointer."""

    async def main() -> None:
        given, other = (values, ()) if name == "args" else ((), values)
        process = Process(Streams().descriptors(), arguments=given, environment=other)
        async with commands.running(process) as command:
            sizes = await command.call(f"{name}_sizes_get", RESULT, RESULT + 4)
            count, room = sizes.size(), sizes.size(RESULT + 4)
            assert (count, room) == (len(values), sum(len(value) + 1 for value in values))
            filled = {TEXT: b"\xff" * 64, ROOM: b"\xff" * 1000}
            answer = await command.call(f"{name}_get", TEXT, ROOM, stage=filled)
            assert answer.name == "success"
            for place, value in enumerate(values):
                at = answer.size(TEXT + 4 * place)
                assert answer.memory[at : at + len(value) + 1] == value + b"\0"
            assert answer.memory[ROOM + room : ROOM + 1000] == b"\xff" * (1000 - room)
            assert answer.memory[TEXT + 4 * count : TEXT + 64] == b"\xff" * (64 - 4 * count)

    asyncio.run(main())


@pytest.mark.parametrize("places", [(MEMORY - 4 * len(VALUES) + 1, ROOM), (ROOM, MEMORY - 20)])
def test_arguments_that_do_not_fit(commands: Commands, places: tuple[int, int]) -> None:
    """Arguments that would lie outside the memory end the guest."""

    async def main() -> None:
        process = Process(Streams().descriptors(), arguments=VALUES)
        async with commands.running(process) as command:
            with pytest.raises(GuestTrap, match="memory_bounds"):
                await command.call("args_get", *places)

    asyncio.run(main())


def test_arguments_that_just_fit(commands: Commands) -> None:
    """They may lie at the very end of the memory."""

    async def main() -> None:
        async with commands.running(Process(Streams().descriptors(), arguments=[b"abc"])) as command:
            answer = await command.call("args_get", MEMORY - 8, MEMORY - 4)
            assert answer.memory[-4:] == b"abc\0"
            assert answer.size(MEMORY - 8) == MEMORY - 4

    asyncio.run(main())


def test_chance(in_folder: Callable[[Test], None]) -> None:
    """Random bytes fill what is asked for, nothing more, and each time anew."""

    async def test(command: Command) -> None:
        first = await command.call("random_get", ROOM, 32)
        assert (first.name, first.memory[ROOM + 32 : ROOM + 64]) == ("success", bytes(32))
        second = await command.call("random_get", ROOM, 32)
        assert first.memory[ROOM : ROOM + 32] != second.memory[ROOM : ROOM + 32] != bytes(32)
        assert (await command.call("random_get", ROOM, 0)).name == "success"

    in_folder(test)


def test_chance_is_bounded(in_folder: Callable[[Test], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """More than a call gives ends the guest."""
    monkeypatch.setattr("serverless_wasm.abi.wasi.functions._RANDOM_LIMIT", 1000)

    async def test(command: Command) -> None:
        assert (await command.call("random_get", ROOM, 1000)).name == "success"
        with pytest.raises(HostLimit, match="random_get"):
            await command.call("random_get", ROOM, 1001)

    in_folder(test)


@pytest.mark.parametrize("code", [0, 1, 125, 126, 255, 300, 2**31, 2**32 - 1])
def test_ending(in_folder: Callable[[Test], None], code: int) -> None:
    """A guest ends itself with any code, which is handed on as it is."""

    async def test(command: Command) -> None:
        with pytest.raises(GuestExit) as ended:
            await command.call("proc_exit", code)
        assert ended.value.exit_code == code

    in_folder(test)


def test_signals(in_folder: Callable[[Test], None]) -> None:
    """No signal can be raised, and one that there is not is no signal."""

    async def test(command: Command) -> None:
        for signal, answer in (
            (0, "notsup"),
            (6, "notsup"),
            (30, "notsup"),
            (31, "inval"),
            (2**32 - 1, "inval"),
        ):
            assert (await command.call("proc_raise", signal)).name == answer

    in_folder(test)


def test_giving_way(in_folder: Callable[[Test], None]) -> None:
    """To give way succeeds: there is one thread."""

    async def test(command: Command) -> None:
        assert (await command.call("sched_yield")).name == "success"

    in_folder(test)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sock_accept", (0, RESULT)), ("sock_recv", (MORE, 1, 0, RESULT, RESULT)),
        ("sock_send", (MORE, 1, 0, RESULT)), ("sock_shutdown", (3,)),
    ],
)  # fmt: skip
def test_sockets(in_folder: Callable[[Test], None], name: str, values: tuple[int, ...]) -> None:
    """No descriptor is a socket."""

    async def test(command: Command) -> None:
        for fd, answer in ((0, "notsock"), (1, "notsock"), (3, "notsock"), (4, "badf")):
            assert (await command.call(name, fd, *values)).name == answer

    in_folder(test)
