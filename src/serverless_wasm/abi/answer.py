"""Standard output as a response: its head first, then a body that goes out while the guest still writes.

What a command writes comes in; a response goes out, whole or as a stream of which PIPE bytes are kept.
It must never let a body that was cut short look whole, nor take more of it than the limits say.
"""

from __future__ import annotations

from msgspec.structs import replace

from serverless_wasm.abi.base import Invocation
from serverless_wasm.abi.cgi_head import Head, HeadReader
from serverless_wasm.abi.stream import PIPE, Pipe, Stream
from serverless_wasm.errors import BadResponse, HostLimit
from serverless_wasm.messages import Response


class Answer:
    """What a command has written so far: a Target of its descriptors.

    Once its head is whole, and a PIPE is full or `flush` is called, the response begins.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._limit = invocation.grants.limits.response_body
        self._reader = HeadReader(invocation.grants.limits)
        self._head: Head | None = None
        self._size = 0
        self._body = Pipe()
        self._stream: Stream | None = None
        self._response: Response | None = None

    @property
    def left(self) -> int:
        """Bytes that `put` takes now."""
        return PIPE if self._stream is None else self._body.room

    def put(self, data: bytes) -> int:
        """Takes as much as there is room for, and says how much; raises BadResponse or HostLimit."""
        data = data[: self.left]
        if self._head is not None:
            self._keep(data)
        elif head := self._reader.feed(data):
            self._head = head
            for line in head.strange:
                self._invocation.log(b"no field of a head: " + line)
            self._keep(self._reader.rest)
        if not self._body.room:
            self.flush()
        return len(data)

    async def room(self) -> None:
        """Waits until `put` takes something."""
        if self._stream is not None:
            while not self.left:
                await self._body.change()

    def flush(self) -> None:
        """Begins the response, if its head is whole and somebody takes it so: the guest is about to wait."""
        begin = self._invocation.begin
        if self._head is None or self._stream is not None or begin is None:
            return
        self._stream = Stream(self._body)
        self._response = replace(self._head.draft.finish(), body=self._stream)
        begin(self._response)

    def finish(self) -> Response:
        """The response, its body whole if it has not begun; raises BadResponse when there is no head."""
        if self._response is not None and self._stream is not None:
            self._body.end()
            return self._response
        if self._head is None:
            ended = "within its head" if self._reader.begun else "before it began"
            raise BadResponse(f"standard output ended {ended}")
        self._head.draft.set_body(bytes(self._body.data))
        return self._head.draft.finish()

    def fail(self, error: BaseException) -> None:
        """Cuts a response that has begun."""
        self._body.end(error)

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise HostLimit(f"response_body: more than {self._limit} bytes")
        self._body.put(data)
