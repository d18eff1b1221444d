"""`serve FILE`: the composition root, the one place where the rooms are put together.

A file comes in; requests are answered until a signal ends it.
It must never show a traceback for an operator's mistake, nor claim to listen before it does.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from serverless_wasm.cli import urls
from serverless_wasm.cli.given import Given, VariablesFile, Words
from serverless_wasm.cli.progress import Bars
from serverless_wasm.cli.report import checked_configuration, mistake
from serverless_wasm.config.configuration import Configuration
from serverless_wasm.config.load import load
from serverless_wasm.errors import ConfigError, EngineError, ReloadRefused
from serverless_wasm.events import Emit, ServiceStarted
from serverless_wasm.observe.logs import Logs, Style
from serverless_wasm.observe.sink import open_lock
from serverless_wasm.processes import activation
from serverless_wasm.processes.channel import Report
from serverless_wasm.processes.crew import Crew, CrewSettings, slots_for
from serverless_wasm.processes.crumbs import Crumbs
from serverless_wasm.processes.notify import Notifier
from serverless_wasm.processes.process import Outfit, python, tell_faults
from serverless_wasm.processes.reloader import Reloader
from serverless_wasm.processes.supervisor import Backend, Supervisor, on_hangup, on_stop
from serverless_wasm.processes.watch import changes
from serverless_wasm.release import Builder, Release
from serverless_wasm.server import sockets
from serverless_wasm.server.head import address_text
from serverless_wasm.server.sockets import Bound
from serverless_wasm.server.tls import open_context
from serverless_wasm.wasm.artifacts import Cache, open_cache


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the command line says beyond the file."""

    file: Path
    style: Style
    workers: int | None
    strict: bool
    watch: bool
    given: Given

    def read(self) -> Configuration:
        """The file as it is now, with what the command line says instead; raises ConfigError."""
        configuration = load(self.file, self.given.read())
        return configuration if self.workers is None else replace(configuration, workers=self.workers)


def serve(  # noqa: PLR0913 - each is a word of the command line
    file: Annotated[Path, typer.Argument(readable=False, metavar="FILE", help="The configuration, in TOML.")],
    log: Annotated[Log, typer.Option(help="JSON or words; auto: words on a terminal.")] = Log.AUTO,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, max=256, help="Processes that serve, instead of server.workers; 0: only this one."
        ),
    ] = None,
    variable: Words = None,
    variables: VariablesFile = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Reload whenever FILE or what it names changes.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 2 if an application cannot be loaded.")
    ] = False,
) -> None:
    """Serve every application of FILE until a signal.

    On SIGINT or SIGTERM requests in progress may finish, for as long as server.drain says; a second
    signal ends them now. Either way the exit code is 0. SIGHUP, or the command reload, serves what FILE
    says now, without losing a request. The log goes to stderr, nothing to stdout.

    An application that cannot be loaded answers 503 while the others live, unless --strict is given.
    """
    given = Given(words=tuple(variable or ()), file=variables)
    choices = Choices(file=file, style=log.style, workers=workers, strict=strict, watch=watch, given=given)
    configuration = _first(choices)
    bound = _bound(configuration)  # before compiling: what cannot work must fail at once
    _allow_descriptors()
    try:
        single = _single(configuration)
        run = single.run if single else asyncio.run
        run(_run(choices, configuration, bound))
    except ConfigError as error:
        raise mistake(*map(str, error.problems)) from None
    except ReloadRefused as refusal:
        raise mistake(*refusal.reasons) from None
    except (EngineError, OSError) as error:
        raise mistake(str(error)) from None
    except RuntimeError as error:
        raise mistake(str(EngineError.of_threads(error))) from None
    finally:
        bound.close()


def _first(choices: Choices) -> Configuration:
    """What the file says at the start; the garbage collector leaves it alone, for all of it is to stay."""
    gc.disable()
    try:
        return checked_configuration(choices.read)
    finally:
        gc.freeze()
        gc.enable()


def _single(configuration: Configuration) -> ModuleType | None:
    """What a process without workers has and a supervisor must not even load: the engine comes with it."""
    if configuration.workers != 0:
        return None
    from serverless_wasm.cli import single  # noqa: PLC0415 - see above

    return single


def _bound(configuration: Configuration) -> Bound:
    """The sockets that the service manager has handed over, or those that the file names."""
    host, port = configuration.listen_host, configuration.listen_port
    try:
        return activation.inherited(os.environ, os.getpid()) or sockets.bind(host, port)
    except activation.NotUsable as error:
        raise mistake(str(error)) from None
    except OSError as error:
        raise mistake(sockets.reason(error, host, port)) from None


def _allow_descriptors() -> None:
    """As many descriptors as the system lets us have: each client and each guest's socket takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS calls its limit infinite and then refuses that
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _run(choices: Choices, configuration: Configuration, bound: Bound) -> None:
    """The service from its start to its end; raises what `serve` puts into words."""
    on_stop(os._exit, 0)  # nobody is being answered yet, and whatever was started ends with this process
    wanted = on_hangup()  # the file may have changed since it was read
    lock = open_lock()
    emit = Logs(sys.stderr, choices.style, lock=lock)
    tell_faults("supervisor", emit)
    notifier = Notifier.from_environment(os.environ)
    cache = await asyncio.to_thread(open_cache, emit)  # a disk may be slow, and a signal must be heard
    workshop = _Workshop(choices, configuration, cache, emit)
    watched = changes(workshop.files) if choices.watch else None  # before the files are read
    workshop.look_at_certificate(configuration)
    backend = workshop.backend(configuration, bound, lock)
    reloader = Reloader(workshop.read, workshop.builder.build, backend.deploy, emit)
    supervisor = Supervisor(reloader, backend, notifier, wanted, emit)
    try:
        with workshop.bars:
            release = await workshop.builder.build(configuration)
        report = await reloader.first(release, partial(_accept, choices, configuration, bound))
    except BaseException:
        await backend.stop(0)
        raise
    announce = partial(_announce, choices, release, report, bound, emit)
    try:
        await supervisor.run(choices.file, announce, watched)
    finally:
        emit.finish()


class _Workshop:
    """Makes the parts of the service that hang together by what the operator chose."""

    def __init__(self, choices: Choices, configuration: Configuration, cache: Cache, emit: Emit) -> None:
        self._single = _single(configuration)
        self.bars = Bars(emit)
        self.builder: Builder = (self._single.builder if self._single else Builder)(
            cache, emit=self.bars.emit, watch=self.bars.watch
        )
        self._choices = choices
        self._configuration = configuration
        self._cache = cache
        self._emit = emit

    def read(self) -> Configuration:
        """What the file says now, its certificate looked at; raises ConfigError."""
        configuration = self._configuration = self._choices.read()
        self.look_at_certificate(configuration)
        return configuration

    def files(self) -> Iterator[Path]:
        """What may change here: the file, and all that it named last, though it may have been refused."""
        yield self._configuration.path
        modules = (item.file_path for item in self._configuration.applications)
        yield from (place for place in modules if isinstance(place, Path))
        if self._configuration.tls is not None:
            yield from (self._configuration.tls.certificate, self._configuration.tls.key)
        yield from self._configuration.variable_files
        if self._choices.given.file is not None:
            yield self._choices.given.file

    def look_at_certificate(self, configuration: Configuration) -> None:
        """Tells once what there is to tell; raises ConfigError if it cannot be used."""
        if configuration.tls is not None:
            open_context(configuration.tls, self._emit)

    def backend(self, configuration: Configuration, bound: Bound, lock: int) -> Backend:
        """A crew of workers that are waking up, or this process alone."""
        if self._single:
            alone: Backend = self._single.alone(self._cache, bound, self._emit)
            return alone
        workers = configuration.workers or _processors()
        crumbs = Crumbs.create(slots_for(workers))
        outfit = Outfit(
            command=python("serverless_wasm.cli.work"),
            sockets=tuple(sock.fileno() for sock in bound.sockets),
            crumbs=crumbs.descriptor,
            lock=lock,
            cache=str(self._cache.folder),
            style=self._choices.style.value,
            colours=sys.stderr.isatty(),
        )
        settings = CrewSettings(
            workers=workers,
            heartbeat=configuration.heartbeat,
            bound=bound,
            name_of=self.builder.name,
            build=self.builder.build,
        )
        crew = Crew(settings, outfit, crumbs, self._emit)
        crew.hire()
        return crew


def _accept(choices: Choices, configuration: Configuration, bound: Bound, report: Report) -> None:
    """Lets the first release be served, and clients queue up for it; raises ReloadRefused and OSError."""
    if choices.strict and report.broken:
        names = ", ".join(report.broken)
        raise ReloadRefused((f"--strict: cannot be loaded, for the reasons above: {names}",))
    try:
        bound.listen()
    except OSError as error:  # Linux tells of a second service that starts at the same time only now
        host, port = configuration.listen_host, configuration.listen_port
        raise EngineError(sockets.reason(error, host, port)) from None


def _announce(choices: Choices, release: Release, report: Report, bound: Bound, emit: Emit) -> None:
    """Says that the service listens, and on a terminal what to try."""
    live = [part.config for part in release.parts if part.config.name not in report.broken]
    addresses = [address_text(sock.getsockname()) for sock in bound.sockets]
    emit(ServiceStarted(address=", ".join(addresses), applications=len(live), slots=report.slots))
    if choices.style is Style.CONSOLE:
        with suppress(OSError):  # nobody reads any more: no reason not to serve
            typer.echo("\n".join(["try:", *urls.commands(live, addresses[0])]), err=True)


def _processors() -> int:
    """How many this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
