"""From a TOML file to a Configuration, or to every mistake in it at once.

The path of a file comes in; a Configuration goes out.
It must never run with a file that is not wholly right, and never raise anything but ConfigError.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import filterfalse
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from serverless_wasm.config.checks import check_grants, check_names, check_routes, name_applications
from serverless_wasm.config.configuration import ApplicationConfig, Configuration, TlsConfig
from serverless_wasm.config.document import read_document
from serverless_wasm.config.explain import MAX_PROBLEMS, explain
from serverless_wasm.config.limit_tables import DoorTable
from serverless_wasm.config.locate import SourceMap, locate
from serverless_wasm.config.places import Places
from serverless_wasm.config.schema import FileTable
from serverless_wasm.config.templates import Expansion
from serverless_wasm.config.variables import read_variables
from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.limits import DoorLimits, Limits
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from serverless_wasm.config.limit_tables import TlsTable
    from serverless_wasm.config.schema import ApplicationTable


def load(path: Path, variables: Mapping[str, str] = MappingProxyType({})) -> Configuration:
    """Reads and checks a configuration file; the modules that it names need not exist.

    `variables` are values that come before those of all other places. Raises ConfigError with every
    problem, sorted by line.
    """
    file = printable(str(path))
    text, written = read_document(file, path)
    source = locate(file, text)
    known = read_variables(written.get("variables"), source, path.absolute().parent, variables)
    expansion = Expansion(known.by_name, source)
    document = expansion.document(written)
    source = replace(source, templates=expansion.written)
    entries = document.get("applications")
    tables = entries if isinstance(entries, list) else []
    names = name_applications(tables)
    problems = [
        *check_names(tables, source),
        *check_routes(tables, names, source),
        *check_grants(document, tables, source),
    ]
    told = [*known.problems, *expansion.problems]
    checked = _check(document, source, [*told, *filterfalse(expansion.explains, problems)], expansion)
    defaults = replace(Limits(), **_written(checked.limits))
    places = Places(path.absolute().parent, checked)
    return Configuration(
        path=path.absolute(),
        listen_host=checked.listen_address.host,
        listen_port=checked.listen_address.port,
        applications=tuple(
            _application(places, table, name, defaults, source.line(("applications", index)))
            for index, (table, name) in enumerate(zip(checked.applications, names, strict=True))
        ),
        door=DoorLimits(**checked.server.model_dump(exclude_unset=True, include=set(DoorTable.model_fields))),
        workers=checked.server.workers,
        heartbeat=checked.server.heartbeat,
        slots=checked.server.slots,
        memory=checked.server.memory,
        stack=checked.server.stack,
        drain=checked.server.drain,
        tls=_tls(path.absolute().parent, checked.server.tls, source),
        variable_files=known.files,
    )


def _check(
    document: dict[str, Any], source: SourceMap, problems: list[Problem], expansion: Expansion
) -> FileTable:
    """Asks the schema; raises ConfigError with the problems known before and its own."""
    try:
        checked = FileTable.model_validate(document)
    except ValidationError as error:
        found = filterfalse(expansion.explains, explain(error, source))
        raise _failure([*problems, *found]) from None
    if problems:
        raise _failure(problems)
    return checked


def _failure(problems: list[Problem]) -> ConfigError:
    problems.sort(key=lambda problem: problem.line)
    if len(problems) > MAX_PROBLEMS:
        last = problems[MAX_PROBLEMS]
        problems[MAX_PROBLEMS:] = [replace(last, key="file", found="more mistakes", expected="fewer")]
    return ConfigError(tuple(problems))


def _written(table: BaseModel) -> dict[str, Any]:
    return table.model_dump(exclude_unset=True)


def _application(
    places: Places, table: ApplicationTable, name: str, defaults: Limits, line: int
) -> ApplicationConfig:
    return ApplicationConfig(
        name=name,
        file_path=places.module(table),
        digest=table.digest,
        methods=tuple(table.method),
        url_path=table.url_path,
        host=table.host,
        function=table.function,
        arguments=None if table.arguments is None else tuple(table.arguments),
        mounts=places.mounts(table),
        files=places.files(table),
        key_value=places.key_value(table),
        tmp=table.tmp,
        precise_clocks=table.precise_clocks,
        reuse=table.reuse,
        env=table.env,
        allowed_outbound_hosts=tuple(table.allowed_outbound_hosts),
        limits=replace(defaults, **written) if (written := _written(table.limits)) else defaults,
        abi=table.abi,
        line=line,
    )


def _tls(folder: Path, table: TlsTable | None, source: SourceMap) -> TlsConfig | None:
    if table is None:
        return None
    return TlsConfig(
        certificate=folder / table.certificate,
        key=folder / table.key,
        file=source.file,
        certificate_line=source.line(("server", "tls", "certificate")),
        key_line=source.line(("server", "tls", "key")),
    )
