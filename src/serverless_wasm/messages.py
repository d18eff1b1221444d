"""The vocabulary of a request's journey: Request, Response, Headers, Body, and Handler.

Doors make requests and write responses; everything between is a `Handler`.
Nothing here knows a socket, an event loop or a guest.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct, field

from serverless_wasm.errors import BodyTooLarge, Error, MethodNotAllowed, Overloaded, RateLimited


class Headers(Struct, frozen=True):
    """Header fields in their order, duplicates kept; names are lower-case bytes."""

    fields: tuple[tuple[bytes, bytes], ...] = ()

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.fields)

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order; none when the field is missing."""
        return [value for key, value in self.fields if key == name]

    def get(self, name: bytes) -> bytes | None:
        """The field's values joined by `, ` (RFC 9110 section 5.2), or None when missing."""
        found = None
        for key, value in self.fields:
            if key == name:
                found = value if found is None else b"%b, %b" % (found, value)
        return found


@runtime_checkable
class Arriving(Protocol):
    """Chunks that a client is still sending."""

    async def ready(self) -> None:
        """Waits for the first of them."""

    async def collect(self, most: int) -> bytes:
        """All of them in one, or more than `most` bytes."""


@runtime_checkable
class Trailing(Protocol):
    """Chunks that may have fields behind them."""

    trailers: Headers


_NO_HEADERS = Headers()


class Body:
    """A request body that may still be arriving; `size` is the declared length, if one was.

    With `certain` it is certain that there is one, so that it can be waited for.

    It can be iterated once, or read whole any number of times, not both.
    """

    __slots__ = ("_certain", "_chunks", "_whole", "size")

    def __init__(
        self, chunks: AsyncIterator[bytes], size: int | None = None, *, certain: bool = True
    ) -> None:
        self.size = size
        self._certain = certain
        self._chunks = chunks
        self._whole: bytes | None = None

    @classmethod
    def of(cls, data: bytes = b"") -> Body:
        """A body that is already here."""
        body = cls(_nothing(), len(data))
        body._whole = data
        return body

    @property
    def arrived(self) -> bytes | None:
        """The whole body if it has been read, else None."""
        return self._whole

    @property
    def trailers(self) -> Headers:
        """Fields behind it, once it was iterated to its end; none where the door cannot tell."""
        return self._chunks.trailers if isinstance(self._chunks, Trailing) else _NO_HEADERS

    async def ready(self) -> None:
        """Waits until enough has arrived to begin with, so that nobody is kept waiting for a slow client.

        Raises what the door has refused the rest with.
        """
        if self._whole is None and self._certain and isinstance(self._chunks, Arriving):
            await self._chunks.ready()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks if self._whole is None else _once(self._whole)

    async def read(self, limit: int) -> bytes:
        """The whole body, waiting until it has arrived.

        Raises BodyTooLarge beyond `limit` bytes, as soon as that is known.
        """
        if self._whole is None:
            self._whole = await self._collect(limit)
        if len(self._whole) > limit:
            raise BodyTooLarge(f"body of {len(self._whole)} bytes, limit {limit}")
        return self._whole

    async def _collect(self, limit: int) -> bytes:
        if isinstance(self._chunks, Arriving):
            body = await self._chunks.collect(limit)
            if len(body) > limit:
                raise BodyTooLarge(f"body beyond the limit of {limit} bytes")
            return body
        chunks: list[bytes] = []
        total = 0
        async for chunk in self._chunks:
            total += len(chunk)
            if total > limit:
                raise BodyTooLarge(f"body beyond the limit of {limit} bytes")
            chunks.append(chunk)
        return b"".join(chunks)


async def _nothing() -> AsyncIterator[bytes]:
    no_chunks: tuple[bytes, ...] = ()
    for chunk in no_chunks:
        yield chunk


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request, decoded and normalised once by the door that took it.

    `path` is percent-decoded and normalised (routing.normalise); `query` is raw, without the `?`.
    `host` is lower-case and without port. `client` is `address:port`.
    """

    id: str
    method: str
    path: str
    query: str = ""
    scheme: str = "http"
    host: str = ""
    version: str = "1.1"
    client: str = ""
    headers: Headers = field(default_factory=Headers)
    body: Body = field(default_factory=Body.of)
    params: Mapping[str, str] = field(default_factory=dict)


class Streaming(ABC, AsyncIterator[bytes]):
    """The body of a response that somebody still makes; `aclose` ends that."""

    @property
    def trailers(self) -> Headers:
        """Fields that go out behind it, known once it has ended."""
        return _NO_HEADERS

    @abstractmethod
    def when_over(self, callback: Callable[[object], None]) -> None:
        """Has it called, with anything, once nobody makes it any more."""

    @abstractmethod
    async def aclose(self) -> None:
        """Ends it, and returns once it has ended."""


class Response(Struct, frozen=True, kw_only=True):
    """One HTTP response; an empty `reason` means the standard phrase of the status.

    Doors compute the framing (Content-Length, Transfer-Encoding, Connection, Date) themselves.
    """

    status: int
    reason: bytes = b""
    headers: Headers = field(default_factory=Headers)
    body: bytes | AsyncIterator[bytes] = b""

    @classmethod
    def of_error(cls, error: Error, request_id: str) -> Response:
        """What a client may know of an error: its code and the request's id, nothing more."""
        fields = [(b"content-type", b"application/json")]
        if isinstance(error, MethodNotAllowed):
            fields.append((b"allow", ", ".join(error.allow).encode()))
        if isinstance(error, Overloaded | RateLimited):
            fields.append((b"retry-after", str(error.retry_after).encode()))
        body = json.dumps({"error": error.code, "request_id": request_id}).encode() + b"\n"
        return cls(status=error.status, headers=Headers(tuple(fields)), body=body)


Handler = Callable[[Request], Awaitable[Response]]
"""The one callable type for everything that answers."""


class Prepared(Struct, frozen=True, gc=False):
    """A response but for its first lines: `rest` is header fields, framing and body as HTTP/1.1 sends them.

    It is of a status that has a body, for a client that asked for one and keeps its connection.
    """

    status: int
    reason: bytes
    rest: bytes


@runtime_checkable
class PromptHandler(Protocol):
    """A handler that answers some requests without being waited for."""

    async def handle(self, request: Request) -> Response:
        """The response to a request."""

    def at_once(self, request: Request) -> Prepared | Awaitable[Response]:
        """The response to a request whose body is here, if it can be made now; else what is to be waited for.

        That may have begun already, so it must be awaited before anything else runs. Never raises.
        """


AnyHandler = Handler | PromptHandler
