"""`check FILE`: whether a configuration can be served, and what it grants.

A file comes in; a table of its applications and an exit code go out.
It must never run a guest, open a socket, or print the value of a variable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from serverless_wasm.cli.given import Given, VariablesFile, Words
from serverless_wasm.cli.progress import Bars
from serverless_wasm.cli.report import checked_configuration, mistake, print_notice, print_table
from serverless_wasm.config.configuration import ApplicationConfig, Configuration, TlsConfig
from serverless_wasm.config.load import load
from serverless_wasm.config.units import duration_text, size_text
from serverless_wasm.engine_room import EngineRoom, Loaded, RoomSettings
from serverless_wasm.errors import EngineError
from serverless_wasm.limits import Limits
from serverless_wasm.net.policy import Policy, Rule
from serverless_wasm.release import Builder
from serverless_wasm.server.tls import open_context
from serverless_wasm.storage.files.stores import FileStores
from serverless_wasm.storage.kv.stores import KeyValueStores
from serverless_wasm.text import printable
from serverless_wasm.wasm.artifacts import open_cache
from serverless_wasm.wasm.code import Code
from serverless_wasm.wasm.components.component import Component

_SIZES = frozenset(
    {
        "memory",
        "request_body",
        "response_body",
        "response_header_bytes",
        "socket_received",
        "socket_sent",
        "log_bytes",
        "module_size",
        "scratch",
        "file_size",
    }
)
_BROKEN = "broken"


def check(
    file: Annotated[Path, typer.Argument(readable=False, metavar="FILE", help="The configuration, in TOML.")],
    variable: Words = None,
    variables: VariablesFile = None,
) -> None:
    """Say whether FILE can be served, and what it grants.

    Compiles every module and lists each application's route, ABI, imports, grants and limits. The exit
    code is 0 when every application can be served, else 2.
    """
    given = Given(words=tuple(variable or ()), file=variables)
    configuration = checked_configuration(lambda: _read(file, given))
    loaded = _load(configuration)
    print_table([*map(_rows, loaded), *_tls_rows(configuration.tls)])
    broken = [item.config.name for item in loaded if item.error]
    count = "1 application" if len(loaded) == 1 else f"{len(loaded)} applications"
    name = printable(str(file))
    if broken:
        raise mistake(f"{name}: {len(broken)} of {count} cannot be served: {', '.join(broken)}")
    typer.echo(f"{name}: {count} can be served")


def _read(file: Path, given: Given) -> Configuration:
    """The configuration, with a certificate that was looked at."""
    configuration = load(file, given.read())
    if configuration.tls:
        open_context(configuration.tls, print_notice)
    return configuration


def _load(configuration: Configuration) -> list[Loaded]:
    try:
        cache = open_cache(print_notice)
        with Bars(print_notice) as bars:
            builder = Builder(cache, emit=bars.emit, watch=bars.watch)
            release = asyncio.run(builder.build(configuration))
        room = EngineRoom(RoomSettings.of(configuration), cache)
    except EngineError as error:
        raise mistake(str(error)) from None
    try:
        for notice in room.notices:
            typer.echo(notice, err=True)
        return [_with_stores(room.load(part)) for part in release.parts]
    finally:
        room.close()


def _with_stores(loaded: Loaded) -> Loaded:
    """The same, with what makes its stores impossible; none of them is asked anything."""
    config = loaded.config
    try:
        FileStores().for_application(config.files, config.limits)
        KeyValueStores().for_application(config.name, config.key_value, config.limits)
    except ValueError as error:
        return replace(loaded, error=loaded.error or str(error))
    return loaded


def _rows(loaded: Loaded) -> Iterator[tuple[Text, ...]]:
    """One row for each fact; the application's name stands before the first."""
    name = Text(loaded.config.name, style="bold")
    for label, value in _facts(loaded):
        yield name, Text(label), Text(value, style="bold red" if label == _BROKEN else "")
        name = Text()


def _tls_rows(tls: TlsConfig | None) -> Iterator[Iterable[tuple[Text, ...]]]:
    if tls:
        yield [
            (Text("server.tls", style="bold"), Text("certificate"), Text(printable(str(tls.certificate)))),
            (Text(), Text("key"), Text(printable(str(tls.key)))),
        ]


def _facts(loaded: Loaded) -> Iterator[tuple[str, str]]:
    config = loaded.config
    if loaded.error:
        yield _BROKEN, loaded.error
    yield "route", _route(config)
    yield "module", f"{printable(str(config.file_path))}, {_entry(loaded)}"
    if loaded.program:
        yield "abi", loaded.program.abi.name
        if config.reuse > 1:
            yield "reuse", f"an instance answers up to {config.reuse} requests, one after the other"
        if loaded.program.abi.entry == "_start":
            yield "arguments", _arguments(config)
    if loaded.module:
        yield "imports", _joined(dict.fromkeys(_imports(loaded.module)))
    yield "outbound", _joined(_outbound(config))
    yield "variables", _joined(config.env)
    yield "folders", _joined(_folders(config))
    yield "files", _joined(_files(config))
    yield "key_value", _joined(item.name + " (shared)" * item.shared for item in config.key_value)
    yield "limits", _joined(_limits(config.limits))


def _imports(code: Code) -> Iterator[str]:
    """What it asks for: a module functions, a component interfaces."""
    if isinstance(code, Component):
        yield from code.blueprint.imports
    else:
        yield from (f"{wanted.module}.{wanted.name}" for wanted in code.imports)


def _entry(loaded: Loaded) -> str:
    entry = loaded.config.function or (loaded.program.abi.entry if loaded.program else "")
    return f"function {printable(entry)}" if entry else "the function that its ABI calls"


def _arguments(config: ApplicationConfig) -> str:
    """What a command is given; clients should not have a say in that of an interpreter."""
    if config.arguments is None:
        return "the words of the query, which the client writes; for an interpreter write the key arguments"
    return _joined(config.arguments)


def _folders(config: ApplicationConfig) -> Iterator[str]:
    """What a guest finds of this machine's disk."""
    for mount in config.mounts:
        yield f"{mount.name} = {mount.path}{' (write)' if mount.write else ''}"
    if config.tmp:
        yield "/tmp, a scratch folder of each invocation"  # noqa: S108 - its name for guests


def _files(config: ApplicationConfig) -> Iterator[str]:
    """What a guest finds in stores."""
    for place in config.files:
        quota = "" if place.quota is None else f", {size_text(place.quota)}"
        yield f"{place.name} = {place.where}{f' (write{quota})' if place.write else ''}"


def _joined(words: Iterable[str]) -> str:
    return ", ".join(map(printable, words)) or "none"


def _route(config: ApplicationConfig) -> str:
    methods = ",".join(config.methods) or "any method"
    return printable(f"{methods} {config.host or ''}{config.url_path}")


def _outbound(config: ApplicationConfig) -> Iterator[str]:
    """What the guest may connect to: the rules as they are understood, and which variable grants one."""
    for entry in config.allowed_outbound_hosts:
        yield str(Rule.parse(entry))
    for variable, value in config.env.items():
        for rule in Policy.for_application((), (value,)).rules:
            yield f"{rule} (from the variable {variable})"


def _limits(limits: Limits) -> Iterator[str]:
    for field in fields(limits):
        value = getattr(limits, field.name)
        if value is None:
            yield f"{field.name} not counted"
        elif field.name == "rate":
            yield f"rate {value:g}/s"
        elif isinstance(value, float):
            yield f"{field.name} {duration_text(value)}"
        else:
            yield f"{field.name} {size_text(value) if field.name in _SIZES else value}"
