"""From a TOML file to a Configuration, or to every mistake in it at once.

The path of a file comes in; a Configuration goes out.
It must never run with a file that is not wholly right, and never raise anything but ConfigError.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from serverless_wasm.config.checks import check_names, check_routes, name_applications
from serverless_wasm.config.configuration import ApplicationConfig, Configuration, TlsConfig
from serverless_wasm.config.document import read_document
from serverless_wasm.config.explain import MAX_PROBLEMS, explain
from serverless_wasm.config.locate import SourceMap, locate
from serverless_wasm.config.schema import DoorTable, FileTable
from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.limits import DoorLimits, Limits
from serverless_wasm.storage.mounts import Mount
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from pydantic import BaseModel

    from serverless_wasm.config.schema import ApplicationTable, TlsTable


def load(path: Path) -> Configuration:
    """Reads and checks a configuration file; the modules that it names need not exist.

    Raises ConfigError with every problem, sorted by line.
    """
    file = printable(str(path))
    text, document = read_document(file, path)
    source = locate(file, text)
    written = document.get("applications")
    tables = written if isinstance(written, list) else []
    names = name_applications(tables)
    problems = [*check_names(tables, source), *check_routes(tables, names, source)]
    checked = _check(document, source, problems)
    defaults = replace(Limits(), **_written(checked.limits))
    return Configuration(
        path=path.absolute(),
        listen_host=checked.listen_address.host,
        listen_port=checked.listen_address.port,
        applications=tuple(
            _application(path.absolute().parent, table, name, defaults, source.line(("applications", index)))
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
    )


def _check(document: dict[str, Any], source: SourceMap, problems: list[Problem]) -> FileTable:
    """Asks the schema; raises ConfigError with the problems known before and its own."""
    try:
        checked = FileTable.model_validate(document)
    except ValidationError as error:
        raise _failure([*problems, *explain(error, source)]) from None
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
    folder: Path, table: ApplicationTable, name: str, defaults: Limits, line: int
) -> ApplicationConfig:
    return ApplicationConfig(
        name=name,
        file_path=_place(folder, table.file_path),
        methods=tuple(table.method),
        url_path=table.url_path,
        host=table.host,
        function=table.function,
        arguments=None if table.arguments is None else tuple(table.arguments),
        mounts=tuple(
            Mount(name=guest, path=folder / mount.path, write=mount.write)
            for guest, mount in table.mounts.items()
        ),
        tmp=table.tmp,
        precise_clocks=table.precise_clocks,
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


def _place(folder: Path, file_path: str) -> Path:
    """Where a module is: beside the configuration file or, if it is only there, in the working directory.

    Symbolic links are not followed here, so that a reload sees one that was switched.
    """
    beside = folder / file_path
    with suppress(OSError):  # not allowed to look, a name too long, no working directory
        if not beside.exists() and (here := Path(file_path).absolute()).exists():
            return here
    return beside
