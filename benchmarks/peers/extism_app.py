"""Extism, compiled once, with a new plugin for each request.

A request comes in; what the guest in $GUESTS puts out goes out, over RSGI.
It must never keep a plugin for a second request.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import extism

module = (Path(os.environ["GUESTS"]) / "peers_extism.wasm").read_bytes()
compiled = extism.extism.CompiledPlugin({"wasm": [{"data": module}]})


async def rsgi(scope: Any, protocol: Any) -> None:
    """Granian's own interface."""
    with extism.Plugin(compiled) as plugin:
        protocol.response_bytes(200, [("content-type", "text/plain")], bytes(plugin.call("handle", b"")))
