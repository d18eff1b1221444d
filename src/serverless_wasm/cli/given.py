"""The options `--variable` and `--variables`, which `serve` and `check` have in common.

Words and the path of a file come in; the values that come before those of all other places go out.
It must never show a value: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from serverless_wasm.config.assignments import read_assignments


def _refuse_other_words(words: list[str] | None) -> list[str]:
    for number, word in enumerate(words or (), 1):
        if not word.partition("=")[1]:
            raise typer.BadParameter(f"the value of number {number} has no =; write NAME=VALUE")
    return words or []


Words = Annotated[
    list[str] | None,
    typer.Option(
        "--variable",
        metavar="NAME=VALUE",
        callback=_refuse_other_words,
        help="The value of a variable, before every other place. Others on this machine can read it: give "
        "secrets in a file or in the environment.",
    ),
]
VariablesFile = Annotated[
    Path | None,
    typer.Option("--variables", readable=False, metavar="FILE", help="A file of lines NAME=VALUE."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says of variables."""

    words: tuple[str, ...] = field(default=(), repr=False)
    file: Path | None = None

    def read(self) -> Mapping[str, str]:
        """The values, with what the file says now; raises ConfigError."""
        lines = read_assignments(self.file) if self.file else {}
        return {**lines, **{name: value for name, _, value in (word.partition("=") for word in self.words)}}
