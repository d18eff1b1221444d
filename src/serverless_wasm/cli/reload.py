"""`reload FILE`: lets the service that runs with a configuration read it anew.

A file comes in; what has changed, or every reason why nothing has, and an exit code go out.
It must never end before the service has answered, or say that it has reloaded when it has not.
"""

from __future__ import annotations

from typing import Annotated

import typer

from serverless_wasm.cli.running import RunningFile, tell

_TIMEOUT = 300.0  # an interpreter of 30 MiB takes a minute to compile, on a machine that serves meanwhile


def reload(
    file: RunningFile,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="How long to wait for the answer.")
    ] = _TIMEOUT,
) -> None:
    """Let the service that runs with FILE take it anew, modules included.

    Prints what has changed. The exit code is 0 when the service has taken it, also without a change; 1 when
    it keeps what it had, for the reasons printed; 2 when no service answers.
    """
    tell(file, "reload", timeout)
