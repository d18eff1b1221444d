"""The command line: which command, with which words.

Arguments come in; a command runs, and the process ends with its exit code.
It must never answer an operator's mistake with a traceback.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

_COMMANDS = ("serve", "check", "inspect", "push", "pull", "reload", "status")
"""Each a function of that name in a module of that name; only the one that runs is imported."""
_EXAMPLES = """\b
Examples:
  serverless-wasm samples/config.toml            serve every application of the file
  serverless-wasm serve config.toml --log json   the same, with one JSON object a line as log
  serverless-wasm check config.toml              is it right, what does it grant?
  serverless-wasm reload config.toml             serve what the file says now
  serverless-wasm inspect hello.wasm             what does a module need?
  serverless-wasm push hello.wasm oci://registry.example.com/hello:1.0

swasm is the short name of the same program. The log goes to stderr.
"""


def main() -> None:
    """Runs the command that the process was started with."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python would hear of Ctrl-C only after a compilation
    for name in ("stdout", "stderr"):
        _mend(name)
    arguments = with_command(sys.argv[1:])
    program(arguments[:1])(args=arguments)


def _mend(name: str) -> None:
    """Makes a standard stream take everything: it may be closed, and a file's name may be no text at all."""
    stream = getattr(sys, name)
    if stream is None:
        nothing = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - to the end
        os.set_inheritable(nothing.fileno(), True)
        setattr(sys, name, nothing)
    elif isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def with_command(arguments: list[str]) -> list[str]:
    """The arguments with `serve` in front, where they begin with a file instead of a command."""
    first = arguments[0] if arguments else "-"
    return arguments if first.startswith("-") or first in _COMMANDS else ["serve", *arguments]


def program(wanted: Sequence[str] = _COMMANDS) -> typer.Typer:
    """The command line with the commands that are wanted; with all of them if none of those is one.

    The supervisor of `serve` must not load the engine, which other commands need.
    """
    app = typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(epilog=_EXAMPLES, no_args_is_help=True)(_program)
    for name in [name for name in wanted if name in _COMMANDS] or _COMMANDS:
        app.command(name)(getattr(import_module(f"serverless_wasm.cli.{name}"), name))
    return app


def _print_version(*, wanted: bool) -> None:
    if wanted:
        from serverless_wasm.wasm.fast import find_steps  # noqa: PLC0415 - loads the engine

        engine = f"wasmtime {version('wasmtime')}, {find_steps().name}"
        python = f"{platform.python_implementation()} {platform.python_version()}"
        typer.echo(f"serverless-wasm {version('serverless-wasm')} ({engine}, {python})")
        raise typer.Exit


def _program(
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Serve many small WebAssembly applications over HTTP, from one TOML file."""
