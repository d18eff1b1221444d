"""The same answer from Python alone, over RSGI and over ASGI.

A request comes in; fourteen bytes go out.
It must never run WebAssembly: it is what the server beneath costs.
"""

from __future__ import annotations

from typing import Any

BODY = b"Hello, world!\n"
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"14")]


async def rsgi(scope: Any, protocol: Any) -> None:
    """Granian's own interface."""
    protocol.response_bytes(200, [("content-type", "text/plain")], BODY)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """The interface of uvicorn."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})
