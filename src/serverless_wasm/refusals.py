"""The record of a request that is refused, made alike wherever that happens.

A request, as far as it could be read, and the reason come in; one event goes out.
It must never pass on what a client could forge a line with.
"""

from __future__ import annotations

from serverless_wasm.errors import RequestError
from serverless_wasm.events import RequestRefused
from serverless_wasm.messages import Request
from serverless_wasm.text import printable


def refusal(request: Request, error: RequestError) -> RequestRefused:
    """What the log is told."""
    return RequestRefused(
        request_id=request.id,
        client=request.client,
        method=printable(request.method, 32),
        path=printable(request.path),
        status=error.status,
        code=error.code,
        detail=printable(str(error)),
    )
