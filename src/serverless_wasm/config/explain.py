"""From what pydantic found wrong to what the operator reads.

A ValidationError comes in; problems with line, key, found and expected go out.
It must never print a whole table, a value of `env`, or pydantic's own words.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from serverless_wasm.config.schema import TABLES, words_of
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from serverless_wasm.config.locate import KeyPath, SourceMap
    from serverless_wasm.errors import Problem

MAX_PROBLEMS = 1000
"""Explained at most; nobody reads more, and a hostile file could hold a hundred thousand."""
_USER_INFO = re.compile(r"//\S*@")


def explain(error: ValidationError, source: SourceMap) -> Iterator[Problem]:
    """Says each error in the operator's words, in the order of the file."""
    details = error.errors(include_url=False)
    details.sort(key=lambda detail: source.line(detail["loc"]))
    for detail in details[: MAX_PROBLEMS + 1]:
        path = detail["loc"]
        if path[-1] == "[key]":  # pydantic's word for a key of a table that may have any
            path = path[:-1]
        yield source.problem(path, _found(detail, path, source), _expected(detail, path))


def _found(detail: ErrorDetails, path: KeyPath, source: SourceMap) -> str:
    if detail["type"] == "missing" or detail["input"] is None:
        return "nothing"
    if detail["type"] == "extra_forbidden":
        return "an unknown key"
    # The values of env, stores and variables may be secrets, so nothing below those keys is shown.
    hides = path[2:3] == ("env",) or path[:1] in {("stores",), ("key_value",), ("variables",)}
    return kind_of(detail["input"]) if hides else value_text(source.written(path, detail["input"]))


def _expected(detail: ErrorDetails, path: KeyPath) -> str:
    names = words_of(path)
    if detail["type"] == "extra_forbidden":
        return _suggestion(names[:-1], names[-1])
    reason = detail.get("ctx", {}).get("error")
    return str(reason) if isinstance(reason, ValueError) else _description(names)


def _description(names: tuple[str, ...]) -> str:
    """What the schema says of a key, or of the nearest key around it that it knows."""
    while names[:-1] not in TABLES:
        names = names[:-1]
    return TABLES[names[:-1]].model_fields[names[-1]].description or "a different value"


def _suggestion(table: tuple[str, ...], key: str) -> str:
    known = list(TABLES[table].model_fields)
    for other, model in TABLES.items():
        if other and other[-1] not in {"applications", "variables"} and key in model.model_fields:
            return f"the key {key} in the table {'.'.join(other)}"
    near = difflib.get_close_matches(key, known, n=1) if len(key) <= 64 else []
    return f'a known key; did you mean "{near[0]}"?' if near else f"one of {', '.join(known)}"


def value_text(value: object) -> str:
    """A value as it may be shown: one line, cut, without user info, and no table's contents."""
    if isinstance(value, str):
        head = _USER_INFO.sub("//***@", value[:2000])
        return printable(json.dumps(head, ensure_ascii=False), 100)
    if isinstance(value, int) and value.bit_length() > 128:  # str() of a huge one raises
        return "a very large integer"
    if isinstance(value, dict | list):
        return kind_of(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def kind_of(value: object) -> str:
    """The TOML type of a value, with its article."""
    kinds = {
        str: "text",
        bool: "a boolean",
        int: "an integer",
        float: "a float",
        dict: "a table",
        list: "a list",
    }
    return kinds.get(type(value), "a date or time")
