"""What is wrong between applications, where each alone is right: names and routes taken twice.

The `applications` of a document come in, checked or not; names and problems go out.
It must never stop at a table with mistakes of its own: every problem is reported at once.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from serverless_wasm.config.explain import value_text
from serverless_wasm.config.places import DEFAULT
from serverless_wasm.config.schema import RouteTable
from serverless_wasm.routing import Pattern, Route, conflicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serverless_wasm.config.locate import SourceMap
    from serverless_wasm.errors import Problem

Tables = list[Any]
"""As tomllib read it: tables, unless the operator wrote something else."""
_FOREIGN = re.compile(r"[^a-z0-9_]+")
_NAME_LIMIT = 64


def name_applications(tables: Tables) -> list[str]:
    """The name of each application: its own, or one made of file and function.

    A made name that is taken, by whichever kind, gets `-2`, `-3` and so on in the order of the file.
    """
    names = [_text(table, "name") for table in tables]
    taken = {name for name in names if name is not None}
    counts: dict[str, int] = {}
    for index, table in enumerate(tables):
        if names[index] is None:
            names[index] = _unique(_made(table), taken, counts)
    return [name for name in names if name is not None]


def _text(table: object, key: str) -> str | None:
    value = table.get(key) if isinstance(table, dict) else None
    return value if isinstance(value, str) else None


def _made(table: object) -> str:
    file_path, function = (_text(table, key) for key in ("file_path", "function"))
    stem = PurePath(file_path or "").stem
    words = [stem] if function in {None, "handle"} else [stem, function or ""]
    return _FOREIGN.sub("-", "-".join(words).lower()).strip("-_")[:_NAME_LIMIT] or "application"


def _unique(base: str, taken: set[str], counts: dict[str, int]) -> str:
    name = base
    while name in taken:
        counts[base] = counts.get(base, 1) + 1
        suffix = f"-{counts[base]}"
        name = base[: _NAME_LIMIT - len(suffix)] + suffix
    taken.add(name)
    return name


def check_names(tables: Tables, source: SourceMap) -> Iterator[Problem]:
    """A problem for each name that the operator wrote a second time."""
    first: dict[str, int] = {}
    for index, table in enumerate(tables):
        name = _text(table, "name")
        if name is not None and (owner := first.setdefault(name, index)) != index:
            path = ("applications", index, "name")
            line = source.line(("applications", owner, "name"))
            yield source.problem(path, f"the name of the application on line {line}", "a name of its own")


def check_routes(tables: Tables, names: list[str], source: SourceMap) -> Iterator[Problem]:
    """A problem for each route that no request could tell from an earlier one."""
    for earlier, later in conflicts(_routes(tables)):
        first, second = names[earlier.target], names[later.target]
        line = source.line(("applications", earlier.target, "url_path"))
        yield source.problem(
            ("applications", later.target, "url_path"),
            f"the route of application {value_text(first)} on line {line}",
            f"a path, method or host of its own for application {value_text(second)}",
        )


def _routes(tables: Tables) -> Iterator[Route[int]]:
    """The routes of those tables whose three keys are right; the target is the table's index."""
    for index, table in enumerate(tables):
        try:
            keys = RouteTable.model_validate(table)
        except ValidationError:
            continue  # reported by the schema
        pattern = Pattern.parse(keys.url_path)
        yield Route(pattern=pattern, target=index, methods=tuple(keys.method), host=keys.host)


def check_grants(document: dict[str, Any], tables: Tables, source: SourceMap) -> Iterator[Problem]:
    """A problem for each store of keys that has no table, each digest left out, each name taken twice."""
    stores = document.get("key_value")
    known = {*(stores if isinstance(stores, dict) else ()), DEFAULT}
    for index, table in enumerate(tables):
        if not isinstance(table, dict):
            continue
        place = ("applications", index)
        if document.get("require_digest") is True and "digest" not in table:
            yield source.problem((*place, "digest"), "nothing", "its digest, as require_digest is true")
        granted = table.get("key_value")
        for at, name in enumerate(granted if isinstance(granted, list) else ()):
            if isinstance(name, str) and name not in known:
                path = (*place, "key_value", at)
                expected = f"one of {', '.join(sorted(known))}, or a table [key_value.NAME] of that name"
                yield source.problem(path, value_text(source.written(path, name)), expected)
        yield from _names_taken(table, place, source)


def _names_taken(table: dict[str, Any], place: tuple[str | int, ...], source: SourceMap) -> Iterator[Problem]:
    """A problem for each name under which a guest would find two things."""
    mounts, files = (table.get(key) for key in ("mounts", "files"))
    taken = {*(mounts if isinstance(mounts, dict) else ()), *(["/tmp"] if table.get("tmp") is True else [])}  # noqa: S108 - a guest's
    for name in files if isinstance(files, dict) else ():
        if name in taken:
            path = (*place, "files", name)
            yield source.problem(path, "a name that mounts or tmp has", "a name of its own")
