"""What to type to see an application answer.

Applications and an address come in; curl commands, ready for a shell, go out.
It must never print a byte of a route that a shell would take for its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from itertools import islice
from urllib.parse import quote

from serverless_wasm.config.configuration import ApplicationConfig
from serverless_wasm.routing import Pattern

_MOST = 20  # a person tries a few; `check` lists all
_REACHABLE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - compared with, not bound


def commands(applications: Iterable[ApplicationConfig], address: str) -> Iterator[str]:
    """A curl command for each of the first applications; `address` is `host:port` as it was bound."""
    host, _, port = address.rpartition(":")
    base = f"http://{_REACHABLE.get(host, host)}:{port}"
    for application in islice(applications, _MOST):
        method = (
            [] if not application.methods or "GET" in application.methods else ["-X", application.methods[0]]
        )
        host_field = ["-H", f"Host: {application.host}"] if application.host else []
        yield shlex.join(["curl", *method, *host_field, base + _example(application.url_path)])


def _example(url_path: str) -> str:
    """A path that the route matches: `1` for a named segment, nothing for the rest."""
    segments = Pattern.parse(url_path).segments
    return "/" + "/".join("1" if segment is None else quote(segment, safe=":@") for segment in segments)
