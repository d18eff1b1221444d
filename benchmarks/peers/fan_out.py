"""What the subject's guest does, from Python alone: asks the backend with asyncio's streams, and answers.

A request comes in; what the backend says goes out.
It must never run WebAssembly: it is what waiting costs without.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

HOST, PORT = os.environ["BACKEND"].split(":")


async def rsgi(scope: Any, protocol: Any) -> None:
    """Granian's own interface."""
    if scope.path != "/wait":
        protocol.response_bytes(200, [("content-type", "text/plain")], b"Hello, world!\n")
        return
    reader, writer = await asyncio.open_connection(HOST, int(PORT))
    writer.write(b"ask\n")
    answer = await reader.read(64)
    writer.close()
    protocol.response_bytes(200, [("content-type", "text/plain")], answer)
