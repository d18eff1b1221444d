"""`serve FILE`: the composition root, the one place where the rooms are put together.

A file comes in; requests are answered until a signal ends it.
It must never show a traceback for an operator's mistake, nor claim to listen before it does.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from serverless_wasm.application import BrokenApplication
from serverless_wasm.cli import urls
from serverless_wasm.cli.report import checked_configuration, mistake
from serverless_wasm.config.configuration import ApplicationConfig, Configuration
from serverless_wasm.errors import EngineError
from serverless_wasm.events import ServiceStarted, ServiceStopped
from serverless_wasm.observe.logs import Logs, Style
from serverless_wasm.server import sockets
from serverless_wasm.server.h1 import HttpDoor
from serverless_wasm.server.sockets import Bound
from serverless_wasm.service import Service


class Log(Enum):
    """What `--log` takes."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"

    @property
    def style(self) -> Style:
        """The style meant; auto is for a person when one looks at stderr."""
        if self is Log.AUTO:
            return Style.CONSOLE if sys.stderr.isatty() else Style.JSON
        return Style(self.value)


def serve(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, in TOML.")],
    log: Annotated[Log, typer.Option(help="JSON or words; auto: words on a terminal.")] = Log.AUTO,
    *,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 2 if an application cannot be loaded.")
    ] = False,
) -> None:
    """Serve every application of FILE until a signal.

    On SIGINT or SIGTERM requests in progress may finish, for as long as server.drain says; a second
    signal ends them now. Either way the exit code is 0. The log goes to stderr, nothing to stdout.

    An application that cannot be loaded answers 503 while the others live, unless --strict is given.
    """
    configuration = checked_configuration(file)
    host, port = configuration.listen_host, configuration.listen_port
    try:
        bound = sockets.bind(host, port)  # before compiling: what cannot work must fail at once
    except OSError as error:
        raise mistake(sockets.reason(error, host, port)) from None
    _allow_descriptors()
    try:
        uvloop.run(_run(configuration, bound, log.style, strict=strict))
    except EngineError as error:
        raise mistake(str(error)) from None


def _allow_descriptors() -> None:
    """As many descriptors as the system lets us have: each client and each guest's socket takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS calls its limit infinite and then refuses that
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run(configuration: Configuration, bound: Bound, style: Style, *, strict: bool) -> None:
    """One service from its start to its end; raises typer.Exit and EngineError."""
    _on_signal(os._exit, 0)  # nobody is being answered yet, and a compilation cannot be interrupted
    emit = Logs(sys.stderr, style)
    service = Service(configuration, emit)
    door = HttpDoor(service.handle, configuration.door, emit)
    try:
        await service.start(bound.own_addresses())
        live = _live(service, configuration, strict=strict)
        stop = asyncio.Event()
        _on_signal(stop.set)
        addresses = await _listen(door, bound, configuration)
        emit(ServiceStarted(address=", ".join(addresses), applications=len(live), slots=service.slots))
        if style is Style.CONSOLE:
            _show(urls.commands(live, addresses[0]))
        await stop.wait()
        await _drain(door, configuration.drain)
    finally:
        await door.close(0)
        await service.stop()
        bound.close()
    emit(ServiceStopped())


def _on_signal(action: Callable[..., object], *arguments: object) -> None:
    """What SIGINT and SIGTERM do from now on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, action, *arguments)


def _live(service: Service, configuration: Configuration, *, strict: bool) -> list[ApplicationConfig]:
    """The applications that could be loaded; with `strict`, exits unless all could."""
    pairs = list(zip(configuration.applications, service.deployment.applications, strict=True))
    broken = [config.name for config, made in pairs if isinstance(made, BrokenApplication)]
    if broken and strict:
        raise mistake(f"--strict: cannot be loaded, for the reasons above: {', '.join(broken)}")
    return [config for config, _ in pairs if config.name not in broken]


def _show(commands: Iterable[str]) -> None:
    with suppress(OSError):  # nobody reads any more: no reason not to serve
        typer.echo("\n".join(["try:", *commands]), err=True)


async def _listen(door: HttpDoor, bound: Bound, configuration: Configuration) -> tuple[str, ...]:
    try:
        bound.listen()
        return await door.listen(bound.sockets)
    except OSError as error:  # Linux tells of a second service that starts at the same time only now
        host, port = configuration.listen_host, configuration.listen_port
        raise mistake(sockets.reason(error, host, port)) from None


async def _drain(door: HttpDoor, seconds: float) -> None:
    """Closes the door; another signal ends the wait for requests in progress."""
    closing = asyncio.ensure_future(door.close(seconds))
    _on_signal(closing.cancel)
    await asyncio.wait({closing})
    if not closing.cancelled():
        closing.result()
