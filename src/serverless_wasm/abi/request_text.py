"""What compiled host functions read of a request: one text, which a guest has as long as it lives.

A request comes in; the bytes that guest.h describes go out.
It must never say of a request what the functions of Python would not.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from serverless_wasm.messages import Request
from serverless_wasm.wasm.capi import NULL, ffi
from serverless_wasm.wasm.linker import Runnable
from serverless_wasm.wasm.modules import Module

READERS = frozenset(
    {"request_get_header", "request_get_method", "request_get_param", "request_get_path", "request_get_query"}
)
"""The functions of `env` that read it."""
_KNOWN = 4096
"""Bytes of a text that is kept, in case that the same is asked again."""
_SIZES = Struct("=5I")


def reads(module: Runnable) -> bool:
    """Whether a module imports a function that reads it."""
    return isinstance(module, Module) and any(
        wanted.module == "env" and wanted.name in READERS for wanted in module.imports
    )


def request_text(request: Request) -> bytes:
    """The text, or nothing when the request has what cannot be told so: then it is for Python to tell."""
    fields = request.headers.fields
    pairs = [(name.encode(), value.encode()) for name, value in request.params.items()]
    parts = (
        request.method.encode(),
        request.path.encode(),
        request.query.encode(),
        b"".join([b"%b\0%b\0" % pair for pair in pairs]),
        b"".join([b"%b\0%b\0" % field for field in fields]),
    )
    if parts[3].count(0) != 2 * len(pairs) or parts[4].count(0) != 2 * len(fields):
        return b""
    return _SIZES.pack(*map(len, parts)) + b"".join(parts)


class RequestTexts:
    """Those of one application's requests; the last is kept, for clients that ask the same again."""

    def __init__(self) -> None:
        self._known: tuple[object, ...] = ()
        self._text: Any = NULL

    def of(self, request: Request) -> Any:
        """A pointer to the text, to be kept as long as a guest may read it; NULL when there is none."""
        asked = request.path, request.query, request.method, request.headers, request.params
        if asked == self._known:
            return self._text
        data = request_text(request)
        text = ffi.from_buffer("char[]", data) if data else NULL
        if len(data) <= _KNOWN:
            self._known, self._text = asked, text
        return text
