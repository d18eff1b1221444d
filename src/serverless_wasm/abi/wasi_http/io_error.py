"""wasi:io/error: why a stream has failed, for whoever may say it more precisely.

What a stream met comes in; a sentence goes out.
It must never show a guest more than the message that it was made with.
"""

from __future__ import annotations

from serverless_wasm.abi.wasi_http.interface import Interface, Resource, method
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.wasm.components.types import STRING


class IoError(Resource):
    """A failure; `cause` is what other interfaces know it by."""

    __slots__ = ("cause", "message")
    name = "wasi:io/error/error"

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__()
        self.message = message
        self.cause = cause


def _to_debug_string(world: World, error: IoError) -> str:
    return error.message


ERROR = Interface(
    "wasi:io/error", (method(IoError, "to-debug-string", _to_debug_string, gives=STRING),), (IoError,)
)
