"""wasi:cli: what a guest finds of a command line: variables, a log behind its output, an exit, no terminal.

Numbers and bytes of the guest come in; the application's own variables, and lines of its log, go out.
It must never give a guest more of the machine's environment than its application was given.
"""

from __future__ import annotations

from typing import NoReturn

from serverless_wasm.abi.command import Given
from serverless_wasm.abi.wasi.descriptors import Messages
from serverless_wasm.abi.wasi_http.interface import Err, Interface, Ok, Resource, function, own
from serverless_wasm.abi.wasi_http.streams import InputStream, OutputStream
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import GuestExit
from serverless_wasm.limits import KIB
from serverless_wasm.wasm.components.types import STRING, U8, ListOf, Option, Result, TupleOf

_ROOM = 64 * KIB
"""Bytes that the log takes in one call."""


class _Log:
    """A Target: whatever is written is a line of the application's log once it has ended."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages

    @property
    def left(self) -> int:
        """There is always room; what is over the quota is dropped, and counted."""
        return _ROOM

    def put(self, data: bytes) -> int:
        """Takes all there is room for."""
        self._messages.write(data[:_ROOM])
        return len(data[:_ROOM])

    def flush(self) -> None:
        """A line goes out when it ends."""

    async def room(self) -> None:
        """There is."""


class TerminalInput(Resource):
    """None is ever made."""

    __slots__ = ()
    name = "wasi:cli/terminal-input/terminal-input"


class TerminalOutput(Resource):
    """None is ever made."""

    __slots__ = ()
    name = "wasi:cli/terminal-output/terminal-output"


def _environment(world: World) -> list[tuple[str, str]]:
    variables = world.invocation.grants.variables
    return [(name.decode(), value.decode()) for name, value in variables.items()]


def _arguments(world: World) -> list[str]:
    grants = world.invocation.grants
    return [grants.application, *(grants.arguments or ())]


def _initial_cwd(world: World) -> None:
    """There is none: folders have the names that the configuration gives them."""


def _exit(world: World, status: Ok | Err) -> NoReturn:
    raise GuestExit(0 if isinstance(status, Ok) else 1)


def _exit_with_code(world: World, code: int) -> NoReturn:
    raise GuestExit(code)


def _stdin(world: World) -> InputStream:
    return InputStream(Given(b""))


def _stdout(world: World) -> OutputStream:
    return OutputStream(_Log(world.printed("stdout")))


def _stderr(world: World) -> OutputStream:
    return OutputStream(_Log(world.printed("stderr")))


def _no_terminal(world: World) -> None:
    """Nobody sits at one."""


ENVIRONMENT = Interface(
    "wasi:cli/environment",
    (
        function("get-environment", _environment, gives=ListOf(TupleOf((STRING, STRING)))),
        function("get-arguments", _arguments, gives=ListOf(STRING)),
        function("initial-cwd", _initial_cwd, gives=Option(STRING)),
    ),
)
EXIT = Interface(
    "wasi:cli/exit",
    (
        function("exit", _exit, ("status", Result())),
        function("exit-with-code", _exit_with_code, ("status-code", U8)),
    ),
)
STDIN = Interface("wasi:cli/stdin", (function("get-stdin", _stdin, gives=own(InputStream)),))
STDOUT = Interface("wasi:cli/stdout", (function("get-stdout", _stdout, gives=own(OutputStream)),))
STDERR = Interface("wasi:cli/stderr", (function("get-stderr", _stderr, gives=own(OutputStream)),))
TERMINALS = (
    Interface("wasi:cli/terminal-input", (), (TerminalInput,)),
    Interface("wasi:cli/terminal-output", (), (TerminalOutput,)),
    Interface(
        "wasi:cli/terminal-stdin",
        (function("get-terminal-stdin", _no_terminal, gives=Option(own(TerminalInput))),),
    ),
    Interface(
        "wasi:cli/terminal-stdout",
        (function("get-terminal-stdout", _no_terminal, gives=Option(own(TerminalOutput))),),
    ),
    Interface(
        "wasi:cli/terminal-stderr",
        (function("get-terminal-stderr", _no_terminal, gives=Option(own(TerminalOutput))),),
    ),
)
CLI = (ENVIRONMENT, EXIT, STDIN, STDOUT, STDERR, *TERMINALS)
