"""Requests and responses as JSON on standard input and output, as wasm-workers-server had (docs/abi/wws.md).

A request goes to the guest as one object; one object comes back and is the response.
It must never take a body, a status or a header from the guest that `env` would not have taken.
"""

from __future__ import annotations

import binascii
from typing import Any

import msgspec

from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.cgi_environment import arguments, full_url
from serverless_wasm.abi.command import Collected, Start, body_of, program, run
from serverless_wasm.abi.core import CoreAbi
from serverless_wasm.abi.response import ResponseDraft
from serverless_wasm.abi.wasi.descriptors import Output
from serverless_wasm.abi.wws_keys import Snapshot
from serverless_wasm.errors import BadResponse, HostLimit
from serverless_wasm.limits import KIB
from serverless_wasm.messages import Response
from serverless_wasm.text import printable
from serverless_wasm.wasm.linker import LinkedModule
from serverless_wasm.wasm.modules import Module

_MORE = 64 * KIB
"""Bytes of JSON around the body and the headers."""


class _Given(msgspec.Struct):
    url: str
    method: str
    headers: dict[str, str]
    body: str
    kv: dict[str, str]
    params: dict[str, str]


class _Taken(msgspec.Struct):
    data: str = ""
    headers: dict[str, str] = {}
    status: int = 200
    base64: bool = False
    kv: dict[str, str] | None = None


class WwsAbi(CoreAbi):
    """Runs commands that speak JSON; only where the configuration says so, as their imports do not tell."""

    name = "wws"
    entry = "_start"
    streams = False

    def speaks(self, module: Module) -> bool:  # noqa: ARG002 - as its siblings
        """None is known by its imports: a CGI program has the same."""
        return False

    async def run(self, linked: LinkedModule, invocation: Invocation) -> Response:
        """Runs one invocation to its end."""
        body = await body_of(invocation)
        kept = await Snapshot.of(invocation)
        start = Start(
            body=_question(invocation, body, kept),
            arguments=arguments(
                invocation.request, invocation.grants.route, invocation.grants.arguments or ()
            ),
        )
        limits = invocation.grants.limits
        printed = Collected(2 * limits.response_body + limits.response_header_bytes + _MORE)
        invocation.process = program(invocation, start, Output(printed))
        await run(self._scheduler, linked, invocation)
        taken, response = _response(bytes(printed.data), invocation)
        if taken.kv is not None:
            await kept.keep(taken.kv)
        return response


def _question(invocation: Invocation, body: bytes, kept: Snapshot) -> bytes:
    request = invocation.request
    names = dict.fromkeys(name for name, _ in request.headers)
    headers = {name.decode("latin-1"): (request.headers.get(name) or b"").decode("latin-1") for name in names}
    return msgspec.json.encode(
        _Given(
            url=full_url(request),
            method=request.method,
            headers=headers,
            body=body.decode("utf-8", "replace"),
            kv=dict(kept.pairs),
            params=dict(request.params),
        )
    )


def _response(text: bytes, invocation: Invocation) -> tuple[_Taken, Response]:
    """Of what the guest wrote; raises BadResponse when it is no such object."""
    try:
        taken = msgspec.json.decode(text, type=_Taken)
        body = binascii.a2b_base64(taken.data, strict_mode=True) if taken.base64 else taken.data.encode()
    except (msgspec.DecodeError, binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise BadResponse(f"standard output is no response: {printable(str(error))}") from None
    limits = invocation.grants.limits
    if len(body) > limits.response_body:
        raise HostLimit(f"response_body: {len(body)} bytes, limit {limits.response_body}")
    draft = ResponseDraft(limits)
    draft.set_status(taken.status, b"")
    fields: dict[str, Any] = {"content-type": "text/html"} | {
        name.lower().replace("_", "-"): value for name, value in taken.headers.items()
    }
    for name, value in fields.items():
        draft.add_header(name.encode(), value.encode("utf-8", "replace"))
    draft.set_body(body)
    return taken, draft.finish()
