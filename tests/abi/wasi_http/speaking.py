"""A guest of wasi:http without a guest: calls the host's functions by name, as the canonical ABI would.

Values in Python go in and come out; handles are kept in the world's table, as a guest's are.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from applications import request as make_request
from serverless_wasm.abi.base import Grants, Invocation
from serverless_wasm.abi.wasi_http.answer import HttpAnswer
from serverless_wasm.abi.wasi_http.incoming import IncomingRequest
from serverless_wasm.abi.wasi_http.interface import Err, Function, Ok, Refusal, Resource
from serverless_wasm.abi.wasi_http.interfaces import INTERFACES
from serverless_wasm.abi.wasi_http.outgoing import ResponseOutparam
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.events import Event, GuestLogged
from serverless_wasm.limits import Limits
from serverless_wasm.messages import Headers, Request, Response
from serverless_wasm.net.policy import Policy
from serverless_wasm.net.tcp import Network
from serverless_wasm.storage.files.stores import Files
from serverless_wasm.storage.mounts import Mounts
from serverless_wasm.wasm.components.types import Own, Type

_FUNCTIONS: dict[str, Function] = {
    function.name: function
    for interface in INTERFACES
    if interface.name.startswith(("wasi:http/", "wasi:io/", "wasi:filesystem/"))
    for function in interface.functions
}


class Speaker:
    """One invocation's guest; `begun` is what has begun before it ended."""

    def __init__(
        self,
        request: Request | None = None,
        *,
        allowed: tuple[str, ...] = (),
        network: Network | None = None,
        streams: bool = False,
        mounts: Mounts | None = None,
        files: Files | None = None,
        **limits: Any,
    ) -> None:
        self.events: list[Event] = []
        self.limits = Limits(**limits)
        self.network = network or Network()
        self.outbound = self.network.for_application(Policy.for_application(allowed, ()), self.limits)
        grants = Grants(
            application="app",
            limits=self.limits,
            variables={},
            outbound=self.outbound,
            mounts=mounts or Mounts(),
            files=files or Files({}),
            emit=self.events.append,
        )
        self.invocation = Invocation(request or make_request(), grants)
        self.begun: list[Response] = []
        if streams:
            self.invocation.begin = self.begun.append
        self.world = World(self.invocation)
        self.answer = HttpAnswer(self.invocation)
        self.world.answer = self.answer
        self.request = self.own(IncomingRequest(self.invocation))
        self.outparam = self.own(ResponseOutparam())

    def own(self, resource: Resource) -> int:
        """A handle of it."""
        return self.world.handles.add(resource)

    def resource(self, handle: int) -> Any:
        """What a handle stands for."""
        return self.world.handles._table[handle]

    def __call__(self, name: str, *arguments: Any) -> Any:
        """What a function that does not wait gives, an error as Err."""
        result = self._call(name, arguments)
        assert not inspect.isawaitable(result)
        return self._lowered(result)

    async def wait(self, name: str, *arguments: Any) -> Any:
        """The same of one that may wait."""
        result = self._call(name, arguments)
        if inspect.isawaitable(result):
            try:
                result = await result
            except Refusal as refusal:
                result = Err(refusal.value)
        return self._lowered(result)

    def drop(self, handle: int) -> None:
        """As `resource.drop`."""
        self.world.handles.drop(handle, self.resource(handle).name)

    def close(self) -> None:
        """As at the end of the invocation."""
        self.world.close()
        self.invocation.close()
        self.network.close()

    def fields(self, *pairs: tuple[str, bytes]) -> int:
        """A handle of fields."""
        made: int = self("[static]fields.from-list", list(pairs)).value
        return made

    def respond(self, status: int = 200, *pairs: tuple[str, bytes]) -> tuple[int, int]:
        """Sets a response; handles of its body and of what that is written to."""
        response = self("[constructor]outgoing-response", self.fields(*pairs))
        assert self("[method]outgoing-response.set-status-code", response, status) == Ok()
        body = self("[method]outgoing-response.body", response).value
        self("[static]response-outparam.set", self.outparam, Ok(response))
        return body, self("[method]outgoing-body.write", body).value

    async def write(self, stream: int, data: bytes) -> None:
        """Writes all of it, as guests do."""
        for at in range(0, len(data), 4096):
            piece = data[at : at + 4096]
            written = await self.wait("[method]output-stream.blocking-write-and-flush", stream, piece)
            assert written == Ok(), written

    def finish(self, body: int, stream: int, trailers: int | None = None) -> Any:
        """Ends a body."""
        self.drop(stream)
        return self("[static]outgoing-body.finish", body, trailers)

    async def read(self, stream: int) -> bytes:
        """All that there is to be read."""
        data = b""
        while isinstance(piece := await self.wait("[method]input-stream.blocking-read", stream, 65536), Ok):
            data += piece.value
        assert piece == Err(("closed", None)), piece
        return data

    @property
    def lines(self) -> list[str]:
        """What the guest's log says."""
        return [event.message for event in self.events if isinstance(event, GuestLogged)]

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        function = _FUNCTIONS[name]
        kinds = function.signature.types
        assert len(kinds) == len(arguments)
        lifted = [self._lifted(kind, each) for kind, each in zip(kinds, arguments, strict=True)]
        try:
            return function.call(self.world, *lifted)
        except Refusal as refusal:
            return Err(refusal.value)

    def _lifted(self, kind: Type, value: Any) -> Any:
        match kind, value:
            case Own(resource), int():
                return self.world.handles.take(value, resource)
            case _, Ok(inner):
                return Ok(self._lifted(kind.ok, inner))  # type: ignore[union-attr, arg-type] # a result has it
            case _, Err(_) | None:
                return value
        if kind.__class__.__name__ == "Borrow":
            return self.world.handles.get(value, kind.resource)  # type: ignore[union-attr] # a borrow has it
        if kind.__class__.__name__ == "Option":
            return self._lifted(kind.item, value)  # type: ignore[union-attr] # an option has it
        if kind.__class__.__name__ == "ListOf" and kind.item.__class__.__name__ == "Borrow":  # type: ignore[union-attr] # a list has it
            return [self._lifted(kind.item, each) for each in value]  # type: ignore[union-attr] # a list has it
        return value

    def _lowered(self, value: Any) -> Any:
        match value:
            case Resource():
                return self.own(value)
            case Ok(inner):
                return Ok(self._lowered(inner))
            case Err(inner):
                return Err(self._lowered(inner))
            case tuple():
                return tuple(map(self._lowered, value))
            case list():
                return [self._lowered(each) for each in value]
        return value


def asked(**fields: Any) -> Request:
    """A request with these header fields, and what else is given."""
    headers = fields.pop("headers", {"host": "example.com"})
    pairs = tuple((name.encode(), value.encode()) for name, value in headers.items())
    return make_request(headers=Headers(pairs), **fields)


def pairs_of(response: Response) -> Iterator[tuple[bytes, bytes]]:
    """Its fields."""
    return iter(response.headers)
