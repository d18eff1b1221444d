"""`status FILE`: how the service that runs with a configuration is doing.

A file comes in; a line for each worker and each application out of service goes out.
It must never change anything.
"""

from __future__ import annotations

from serverless_wasm.cli.running import RunningFile, tell

_TIMEOUT = 10.0


def status(file: RunningFile) -> None:
    """Show the workers of the service that runs with FILE, and what is out of service.

    The exit code is 0 when the service is well, 1 when it says that it is not, 2 when none answers.
    """
    tell(file, "status", _TIMEOUT)
