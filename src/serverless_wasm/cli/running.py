"""How the commands speak to the service that runs already.

A configuration's path and a command come in; the service's answer goes to a person, and an exit code out.
It must never read the configuration itself: the service may be running with an older one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from serverless_wasm.cli.report import mistake
from serverless_wasm.processes.control import NoService, ask
from serverless_wasm.text import TEXT_LIMIT, printable

EXIT_REFUSED = 1
"""The exit code when the service was reached and says no."""
RunningFile = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration that is being served.")]


def tell(file: Path, command: str, timeout: float) -> None:
    """Prints what the service of a configuration says to a command; raises typer.Exit unless that is yes."""
    try:
        answer = asyncio.run(ask(file, command, timeout))
    except NoService as error:
        raise mistake(str(error)) from None
    for sentence in filter(None, (answer.message, *answer.details)):
        typer.echo(printable(sentence, TEXT_LIMIT), err=not answer.ok)
    if not answer.ok:
        raise typer.Exit(EXIT_REFUSED)
