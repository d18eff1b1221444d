"""Extism, compiled once, with a new plugin for each request; GET /calls/N asks a host function N times.

A request comes in; the bytes that the guest in $GUESTS was given go out as a decimal, over RSGI.
It must never keep a plugin for a second request.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import extism

VARIABLES = {"greeting": "Hello, world!\n"}
NUMBERS = ([extism.ValType.I64], [extism.ValType.I64])


def get(plugin: Any, inputs: Any, outputs: Any) -> None:
    """Gives the value of a variable in new memory of Extism's; an empty one when there is none."""
    plugin.return_string(outputs[0], VARIABLES.get(plugin.input_string(inputs[0]), ""))


offered = extism.host_fn(name="get", namespace="extism:host/user", signature=NUMBERS)(get)
guest = (Path(os.environ["GUESTS"]) / "peers_calls_extism.wasm").read_bytes()
compiled = extism.extism.CompiledPlugin({"wasm": [{"data": guest}]}, functions=[offered])


async def rsgi(scope: Any, protocol: Any) -> None:
    """Granian's own interface."""
    with extism.Plugin(compiled) as plugin:
        total = bytes(plugin.call("calls", (scope.path.rpartition("/")[2] or "0").encode()))
    body = b"%d\n" % int.from_bytes(total, "little")
    protocol.response_bytes(200, [("content-type", "text/plain")], body)
