"""The response of a component: set once, on its way while the guest still runs.

A head and a body that the guest makes come in; a response goes out, whole or as a stream.
It must never let a body that was cut short look whole, nor wait for a guest that could go on.
"""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.stream import Stream
from serverless_wasm.abi.wasi_http.outflow import Outflow
from serverless_wasm.errors import BadResponse
from serverless_wasm.messages import Headers, Response

_BODILESS = frozenset({204, 205, 304})
"""Statuses whose responses have no body (RFC 9110 sections 15.3.5, 15.3.6, 15.4.5)."""


class HttpAnswer:
    """What a guest answers; made in the task that runs it.

    A response that is set begins as soon as the guest gives the event loop back, for whatever reason. One
    that has ended by then goes out whole.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._maker = None if invocation.begin is None else asyncio.current_task()
        self._refused: Response | None = None
        self._set: tuple[Response, Outflow] | None = None
        self._has_begun = False
        self._is_over = False

    def set(self, head: Response, body: Outflow) -> None:
        """The guest answers this."""
        self._set = head, body
        if self._invocation.request.method == "HEAD" or head.status in _BODILESS:
            body.is_bare = True
        if self._invocation.begin is not None:
            asyncio.get_running_loop().call_soon(self.flush)

    def refuse(self, response: Response) -> None:
        """The guest answers with an error, which is all there."""
        self._refused = response

    def flush(self) -> None:
        """Begins the response, if there is one that may still be whole and somebody takes it so."""
        begin = self._invocation.begin
        if self._set is None or self._has_begun or self._is_over or begin is None:
            return
        head, body = self._set
        if not body.is_held and (body.is_finished or not body.pipe.is_over):
            self._has_begun = True
            begin(self._streamed(head, body))

    def finish(self) -> Response:
        """The response, once the guest has ended well.

        Raises BadResponse when none was set, or when its body was not finished.
        """
        self._is_over = True
        if self._refused is not None:
            return self._refused
        if self._set is None:
            raise BadResponse("the guest set no response")
        head, body = self._set
        if not body.is_finished:
            raise BadResponse("the guest has not finished the body of its response")
        body.release()
        if self._has_begun or (body.pipe.trailers and self._maker is not None):
            return self._streamed(head, body)
        return replace(_sized(head, body), body=bytes(body.pipe.data))

    def fail(self, error: BaseException) -> None:
        """Cuts a response that has begun, unless its body was finished."""
        self._is_over = True
        if self._set is not None:
            self._set[1].pipe.end(error)

    def _streamed(self, head: Response, body: Outflow) -> Response:
        return replace(_sized(head, body), body=Stream(body.pipe, self._maker))


def _sized(head: Response, body: Outflow) -> Response:
    """With the size of its body, if it is known: the door holds the body to it."""
    size = body.declared
    if body.is_finished and not body.pipe.trailers and (body.size or not body.is_bare):
        size = body.size
    if size is None:
        return head
    return replace(head, headers=Headers((*head.headers.fields, (b"content-length", b"%d" % size))))
