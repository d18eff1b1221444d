"""The values of `[variables]`, from wherever the operator wrote them.

The table, and what the command line gives, come in; a value for each name goes out, and every mistake.
It must never show a value: it may be a secret.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from pydantic import ValidationError

from serverless_wasm.config.assignments import read_assignments, read_value, reason
from serverless_wasm.config.configuration import PREFIX
from serverless_wasm.config.schema import MAX_VARIABLES
from serverless_wasm.config.store_tables import VariableTable
from serverless_wasm.config.values import variable
from serverless_wasm.errors import ConfigError
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from serverless_wasm.config.locate import SourceMap
    from serverless_wasm.errors import Problem

DOTENV = ".env"
"""The file of assignments beside the configuration file."""
_COMPARED = 200
"""Names that are looked at for the nearest one: it may be asked for a thousand times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """What one name stands for."""

    text: str | None = field(repr=False)
    """None if there is none, which is a mistake that was told."""
    secret: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """All that one `[variables]` table makes."""

    by_name: Mapping[str, Variable]
    problems: tuple[Problem, ...]
    files: tuple[Path, ...]
    """What was asked for values; a file need not exist."""


def read_variables(written: object, source: SourceMap, folder: Path, given: Mapping[str, str]) -> Variables:
    """The values of a `[variables]` table; mistakes in the table itself are the schema's to tell.

    What is `given` comes first, then the environment, then `.env` in the folder, the variable's file and
    its default.
    """
    tables = _tables(written)
    search = _Search(source, folder, given, look=bool(tables))
    by_name = {name: search.variable(name, table) for name, table in tables.items()}
    search.refuse_strangers(by_name)
    return Variables(by_name=by_name, problems=tuple(search.problems), files=tuple(search.files))


def suggestion(name: str, known: Iterable[str]) -> str:
    """What to write instead of a name that is not in `[variables]`."""
    names = sorted(islice(known, _COMPARED))
    near = difflib.get_close_matches(name, names, n=1) if len(name) <= 64 else []
    if near:
        return f'the name of a variable; did you mean "{near[0]}"?'
    return f"one of {printable(', '.join(names))}" if names else "a [variables] table that has it"


def _tables(written: object) -> dict[str, VariableTable | None]:
    """The tables by name; None for one that the schema refuses, with or without its name."""
    found: dict[str, VariableTable | None] = {}
    for name, table in islice(written.items(), MAX_VARIABLES) if isinstance(written, dict) else ():
        try:
            found[variable(name)] = VariableTable.model_validate(table)
        except ValidationError:
            found[name] = None
        except ValueError:  # a name that no template can have
            continue
    return found


class _Search:
    """Looks for values, and gathers what is wrong with where they are."""

    def __init__(self, source: SourceMap, folder: Path, given: Mapping[str, str], *, look: bool) -> None:
        self.problems: list[Problem] = []
        self.files = [folder / DOTENV] if look else []
        self._source = source
        self._folder = folder
        self._given = given
        self._lines = self._dotenv() if look else {}

    def variable(self, name: str, table: VariableTable | None) -> Variable:
        """A variable, with the value that comes first."""
        if table is None:
            return Variable(text=None, secret=False)
        return Variable(text=self._text(name, table), secret=table.secret)

    def refuse_strangers(self, known: Iterable[str]) -> None:
        """A problem for each value that was given to a name that there is not."""
        for name in self._given:
            if name not in known:
                found = "a value on the command line, but no such variable"
                self._tell(("variables", name), found, suggestion(name, known))

    def _dotenv(self) -> Mapping[str, str]:
        path = self._folder / DOTENV
        try:
            return read_assignments(path) if os.path.lexists(path) else {}
        except ConfigError as error:
            self.problems += error.problems
            return {}

    def _text(self, name: str, table: VariableTable) -> str | None:
        key = PREFIX + name.upper()
        for values, at in ((self._given, name), (os.environ, key), (self._lines, key)):
            if at in values:
                return self._utf8(name, values[at])
        if table.file is not None:
            path = self._folder / table.file
            self.files.append(path)
            try:
                return read_value(path)
            except FileNotFoundError:
                pass  # as if it had not been named
            except (OSError, ValueError) as error:
                self._tell(
                    ("variables", name, "file"), reason(error), "a readable file with at most 64KiB of text"
                )
                return None
        if table.default is None:
            self._tell(("variables", name), "no value", _places(name, table))
        return table.default

    def _utf8(self, name: str, text: str) -> str | None:
        """The text, unless the system gave us bytes that are none."""
        if text.isascii() or text.encode("utf-8", "ignore").decode() == text:
            return text
        self._tell(("variables", name), "a value of bytes that are not UTF-8", "UTF-8 text")
        return None

    def _tell(self, path: tuple[str, ...], found: str, expected: str) -> None:
        self.problems.append(self._source.problem(path, found, expected))


def _places(name: str, table: VariableTable) -> str:
    """Every place in which a value may be written."""
    file = f"the file {table.file}" if table.file else "a file with the key file"
    return printable(
        f"--variable {name}=VALUE, {PREFIX}{name.upper()} in the environment or in {DOTENV} beside this "
        f"file, {file}, or a default",
        1024,
    )
