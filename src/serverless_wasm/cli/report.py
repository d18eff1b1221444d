"""How the commands speak to a person: tables on stdout, problems on stderr, exit code 2.

Facts and errors come in; text goes out, whole in a pipe and folded on a terminal.
It must never read what a stranger wrote as markup, and never show the value of a variable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from serverless_wasm.config.configuration import Configuration
from serverless_wasm.errors import ConfigError
from serverless_wasm.events import Event, ModuleCompiling, ModuleFetched, Notice

EXIT_MISTAKE = 2
"""The exit code for every mistake of the operator, as click has it for a wrong command line."""
_UNBOUNDED = 1_000_000  # columns: nobody looks at a pipe, and a program must see every word


def mistake(*sentences: str) -> typer.Exit:
    """Prints each sentence as a line on stderr; returns the exit for the caller to raise."""
    for sentence in sentences:
        typer.echo(sentence, err=True)
    return typer.Exit(EXIT_MISTAKE)


def checked_configuration(read: Callable[[], Configuration]) -> Configuration:
    """The configuration that `read` gives; prints every problem and exits when it has mistakes."""
    try:
        return read()
    except ConfigError as error:
        raise mistake(*map(str, error.problems)) from None


def print_notice(event: Event) -> None:
    """An Emit for commands that keep no log: notices and fetches go to stderr, all else is in the table."""
    if isinstance(event, Notice):
        typer.echo(event.message, err=True)
    if isinstance(event, ModuleFetched):
        word = "is in the cache" if event.from_cache else "fetched"
        typer.echo(f"{event.url} {word}: {event.size} bytes, {event.digest}", err=True)
    if isinstance(event, ModuleCompiling):
        word = "took" if event.finished else "is being compiled since"
        typer.echo(f"{event.file} {word} {event.seconds} s: {event.size} bytes, once", err=True)


def print_table(groups: Iterable[Iterable[tuple[Text, ...]]]) -> None:
    """Prints rows in columns, with an empty line between two groups."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    for number, rows in enumerate(groups):
        if number:
            table.add_row()
        for row in rows:
            table.add_row(*row)
    for column in table.columns:
        column.overflow = "fold"
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(width=_UNBOUNDED, highlight=False)
    with console.capture() as text:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in text.get().splitlines()))
