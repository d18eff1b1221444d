"""How a WASI program is started: its streams, its arguments, its environment, its folders.

An invocation comes in; the process that the calls of WASI work on goes out.
It must never give it more than the application was granted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from serverless_wasm.abi.base import Invocation, run_guest
from serverless_wasm.abi.wasi.clocks import QUANTUM
from serverless_wasm.abi.wasi.descriptors import Input, Messages, Output
from serverless_wasm.abi.wasi.process import Mount, Process
from serverless_wasm.errors import DeadlineExceeded, HostLimit
from serverless_wasm.text import TEXT_LIMIT
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.scheduler import Scheduler


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a program finds: standard input, its arguments, its environment but for the application's own."""

    body: bytes = b""
    arguments: Sequence[bytes] = ()
    environment: Mapping[bytes, bytes] = field(default_factory=dict)


class Given:
    """Standard input that is all there: a Source of descriptors."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ready(self) -> int:
        """Bytes that are left."""
        return len(self._data) - self._at

    def take(self, most: int) -> bytes:
        """The next of them, none at the end."""
        data = self._data[self._at : self._at + most]
        self._at += len(data)
        return data

    async def arrive(self) -> None:
        """Nothing has to arrive."""


class Collected:
    """Standard output, whole."""

    def __init__(self, most: int) -> None:
        self.data = bytearray()
        self._most = most

    @property
    def left(self) -> int:
        """Bytes that `put` takes now; one more than may be, to say so."""
        return self._most + 1 - len(self.data)

    def put(self, data: bytes) -> int:
        """Takes all; raises HostLimit when that is too much."""
        self.data += data
        if len(self.data) > self._most:
            raise HostLimit(f"response_body: more than {self._most} bytes of standard output")
        return len(data)

    async def room(self) -> None:
        """There is."""

    def flush(self) -> None:
        """Nothing goes out before all is there."""


def program(invocation: Invocation, start: Start, output: Output | Messages) -> Process:
    """The process of a guest that prints to `output`."""
    grants = invocation.grants
    variables = {**start.environment, **grants.variables}
    folders = invocation.open_folders()
    return Process(
        [Input(Given(start.body)), output, _messages(invocation)],
        [Mount(name=name, folder=folder) for name, folder in folders.items()],
        arguments=start.arguments,
        environment=[b"%b=%b" % pair for pair in variables.items()],
        quantum=1 if grants.precise_clocks else QUANTUM,
    )


def reactor(invocation: Invocation) -> Process:
    """The process of a module that answers in another way, so that what it prints is for its log."""
    return program(
        invocation, Start(arguments=[invocation.grants.application.encode()]), _messages(invocation)
    )


async def run(scheduler: Scheduler, linked: LinkedModule, invocation: Invocation) -> None:
    """Runs a guest with a process, and keeps the files that it left open once it has ended well.

    Raises what `run_guest` and `Invocation.keep_files` do.
    """
    await run_guest(scheduler, linked, invocation)
    await invocation.keep_files()


async def body_of(invocation: Invocation) -> bytes:
    """The body of the request, all of it; raises DeadlineExceeded when it does not come in time."""
    body = invocation.request.body
    if body.arrived is None:
        try:
            async with asyncio.timeout_at(invocation.deadline):
                return await body.read(invocation.grants.limits.request_body)
        except TimeoutError:
            raise DeadlineExceeded("waiting for the request's body") from None
    return await body.read(invocation.grants.limits.request_body)


def _messages(invocation: Invocation) -> Messages:
    return Messages(invocation.log, TEXT_LIMIT)
