"""Settings of sockets: kept for whoever asks for them again, and without effect.

Values of the guest come in; those that it may set go out again, as near as the system would have kept them.
They must never reach a socket: buffers are memory of the machine's, and probes are packets of its.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from serverless_wasm.abi.wasi_http.interface import Function, Ok, Refusal, Resource, method
from serverless_wasm.abi.wasi_http.sockets_types import or_error
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.limits import KIB
from serverless_wasm.wasm.components.types import Type

_SECOND = 1_000_000_000
_TIMES = (_SECOND, (2**15 - 1) * _SECOND)
"""Linux keeps whole seconds, in 16 bits."""
_SIZES = (1, 2**31 - 1)
_BOUNDS = {
    "keep-alive-idle-time": _TIMES,
    "keep-alive-interval": _TIMES,
    "keep-alive-count": (1, 127),
    "receive-buffer-size": _SIZES,
    "send-buffer-size": _SIZES,
}
"""What a value that is not 0 is moved into, as wasmtime moves it."""
_FIRST: dict[str, int] = {
    "keep-alive-enabled": False,
    "keep-alive-idle-time": 7200 * _SECOND,
    "keep-alive-interval": 75 * _SECOND,
    "keep-alive-count": 9,
    "hop-limit": 64,
    "unicast-hop-limit": 64,
    "receive-buffer-size": 64 * KIB,
    "send-buffer-size": 64 * KIB,
}
"""Linux's own, but for the buffers, which are ours."""


class Options:
    """The settings of one socket."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, int] = {}

    def get(self, name: str) -> int:
        """What it was set to, or what it is at first."""
        return self._values.get(name, _FIRST[name])

    def set(self, name: str, value: int) -> None:
        """Keeps a value, moved into its bounds; raises Refusal for 0."""
        if value == 0 and value is not False:
            raise Refusal("invalid-argument")
        least, most = _BOUNDS.get(name, (value, value))
        self._values[name] = min(max(value, least), most)


class Settable(Protocol):
    """A socket."""

    options: Options

    def require_settable(self) -> None:
        """Raises Refusal in a state in which it has no settings."""


def option(resource: type[Resource], name: str, kind: Type) -> tuple[Function, Function]:
    """The two methods of a setting: one that reads it, and one that sets it."""
    return (
        method(resource, name, _getter(name), gives=or_error(kind)),
        method(resource, f"set-{name}", _setter(name), ("value", kind), gives=or_error()),
    )


def _getter(name: str) -> Callable[[World, Settable], Ok]:
    def get(world: World, socket: Settable) -> Ok:
        socket.require_settable()
        return Ok(socket.options.get(name))

    return get


def _setter(name: str) -> Callable[[World, Settable, Any], Ok]:
    def set_(world: World, socket: Settable, value: Any) -> Ok:
        socket.require_settable()
        socket.options.set(name, value)
        return Ok()

    return set_
