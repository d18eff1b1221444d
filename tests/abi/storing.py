"""Guests of `env` that make one call on files or keys after the other, and answer with what each gave."""

from __future__ import annotations

from struct import unpack_from
from typing import Any

from applications import body_of
from serverless_wasm.abi.env import FUNCTIONS
from serverless_wasm.abi.env_storage import FUNCTIONS as STORAGE
from serverless_wasm.messages import Response
from serverless_wasm.wasm.linker import HostFunction

BUFFER = 4096
"""Bytes of the buffer that a call may fill."""
_FIRST = 1024  # of the buffers; the numbers come before them
_TEXTS = 64 * 1024
_ALL = {function.name: function for function in (*FUNCTIONS, *STORAGE)}


class Into:
    """An argument: the call's buffer, or the first bytes of it."""

    def __init__(self, size: int = BUFFER) -> None:
        self.size = size


def storing(*calls: tuple[Any, ...]) -> str:
    """A module that makes the calls: a name, then texts, numbers, and Into for a window to fill."""
    names = dict.fromkeys(("response_set_body", *(call[0] for call in calls)))
    texts = bytearray()
    body = []
    for at, (name, *arguments) in enumerate(calls):
        given = " ".join(_given(each, at, texts) for each in arguments)
        value = f"(call ${name} {given})"
        wide = value if _ALL[name].result == "i64" else f"(i64.extend_i32_s {value})"
        body.append(f"(i64.store (i32.const {at * 8}) {wide})")
    size = _FIRST + len(calls) * BUFFER
    escaped = "".join(f"\\{byte:02x}" for byte in texts)
    return f"""(module {"".join(_declared(_ALL[name]) for name in names)}
      (memory (export "memory") 4) (data (i32.const {_TEXTS}) "{escaped}")
      (func (export "handle") {" ".join(body)}
        (call $response_set_body (i32.const 0) (i64.const {size}))))"""


def results(response: Response) -> list[int]:
    """What each call gave."""
    body = body_of(response)
    count = (len(body) - _FIRST) // BUFFER
    return [unpack_from("<q", body, at * 8)[0] for at in range(count)]


def filled(response: Response, call: int) -> bytes:
    """What is in the buffer of a call, without zeros at its end."""
    body = body_of(response)
    return body[_FIRST + call * BUFFER : _FIRST + (call + 1) * BUFFER].rstrip(b"\0")


def _given(argument: Any, call: int, texts: bytearray) -> str:
    if isinstance(argument, Into):
        return f"(i32.const {_FIRST + call * BUFFER}) (i64.const {argument.size})"
    if isinstance(argument, int):
        return f"(i64.const {argument})"
    at = _TEXTS + len(texts)
    texts += argument
    return f"(i32.const {at}) (i64.const {len(argument)})"


def _declared(function: HostFunction) -> str:
    params, result = " ".join(function.type.params), " ".join(function.type.results)
    return f'(import "env" "{function.name}" (func ${function.name} (param {params}) (result {result})))'
