"""wasi:http/types: messages that a guest makes: their heads, their bodies, and where its response goes.

Fields, statuses and bytes of the guest come in; the one response that it sets goes to its HttpAnswer.
It must never take a body for whole that the guest has dropped, nor a status that is not final.
"""

from __future__ import annotations

from msgspec.structs import replace

from serverless_wasm.abi.stream import PIPE
from serverless_wasm.abi.wasi_http.answer import HttpAnswer
from serverless_wasm.abi.wasi_http.fields import Fields, declared_size, sent
from serverless_wasm.abi.wasi_http.http_errors import ERROR_CODE, ErrorCode, status_of
from serverless_wasm.abi.wasi_http.interface import Err, Ok, Resource, function, method, own
from serverless_wasm.abi.wasi_http.ledger import Ledger
from serverless_wasm.abi.wasi_http.outflow import Outflow
from serverless_wasm.abi.wasi_http.streams import OutputStream
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import BadResponse, GuestTrap
from serverless_wasm.messages import Headers, Response
from serverless_wasm.text import printable
from serverless_wasm.wasm.components.types import U16, Option, Result


class OutgoingMessage(Resource):
    """What the guest's requests and responses have in common: fields that stay as they are, and a body."""

    __slots__ = ("_ledger", "fields", "outflow")

    def __init__(self, fields: Fields, ledger: Ledger | None) -> None:
        super().__init__()
        self.fields = fields
        self.outflow: Outflow | None = None
        """Its body, once the guest has asked for it."""
        self._ledger = ledger
        fields.is_mutable = False

    def begin_body(self, most: int, *, grows: bool = False) -> Outflow:
        """Its body; raises ValueError if its size was declared, and is no size."""
        outflow = Outflow(declared_size(self.fields), most, grows=grows)
        if self._ledger is not None:
            self._ledger.spend(PIPE)
        self.outflow = outflow
        return outflow

    def hand_over(self) -> Outflow:
        """Gives its body away, an empty one if the guest never asked for it; raises ValueError as above."""
        outflow = self.outflow
        if outflow is None:
            outflow = Outflow(declared_size(self.fields), 0)
        self._give_back()
        return outflow

    def drop(self) -> None:
        """Nobody will ever send it."""
        if self.outflow is not None:
            self.outflow.shut()
        self._give_back()

    def _give_back(self) -> None:
        self.fields.drop()
        if self._ledger is not None and self.outflow is not None:
            self._ledger.spend(-PIPE)
        self.outflow = None


class OutgoingResponse(OutgoingMessage):
    """A response that the guest makes."""

    __slots__ = ("status",)
    name = "wasi:http/types/outgoing-response"

    def __init__(self, fields: Fields, ledger: Ledger | None) -> None:
        super().__init__(fields, ledger)
        self.status = 200


class OutgoingBody(Resource):
    """The body of a message that the guest makes."""

    __slots__ = ("_context", "_has_stream", "outflow")
    name = "wasi:http/types/outgoing-body"

    def __init__(self, outflow: Outflow, context: str) -> None:
        super().__init__()
        self.outflow = outflow
        self._context = context
        self._has_stream = False

    @property
    def is_response(self) -> bool:
        """Whether it is what the client waits for."""
        return self._context == "response"

    @property
    def wrong_size(self) -> ErrorCode:
        """The error of a body that is not as long as was declared."""
        return f"HTTP-{self._context}-body-size", self.outflow.size

    def write(self) -> OutputStream | None:
        """What it is written to, the first time."""
        if self._has_stream:
            return None
        self._has_stream = True
        return OutputStream(self.outflow, self)

    def drop(self) -> None:
        """The guest has not finished it."""
        self.outflow.abort()


class ResponseOutparam(Resource):
    """Where the guest's response goes."""

    __slots__ = ()
    name = "wasi:http/types/response-outparam"


def new_response(world: World, fields: Fields) -> OutgoingResponse:
    return OutgoingResponse(fields, world.ledger)


def status_code(world: World, response: OutgoingResponse) -> int:
    return response.status


def set_status_code(world: World, response: OutgoingResponse, status: int) -> Ok | Err:
    if not 200 <= status <= 599:
        return Err()
    response.status = status
    return Ok()


def headers(world: World, message: OutgoingMessage) -> Fields:
    return Fields(message.fields.pairs)


def response_body(world: World, response: OutgoingResponse) -> Ok | Err:
    if response.outflow is not None:
        return Err()
    invocation = world.invocation
    most = invocation.grants.limits.response_body
    try:
        outflow = response.begin_body(most, grows=invocation.begin is None)
    except ValueError:
        return Err()
    outflow.is_bare = invocation.request.method == "HEAD"
    return Ok(OutgoingBody(outflow, "response"))


def write(world: World, body: OutgoingBody) -> Ok | Err:
    made = body.write()
    return Err() if made is None else Ok(made)


def finish(world: World, body: OutgoingBody, trailers: Fields | None) -> Ok | Err:
    """The end of a response is held back while files are not in their stores (HttpAnswer.finish)."""
    pairs = () if trailers is None else tuple(sent(trailers.pairs))
    if trailers is not None:
        trailers.drop()
    session = world.invocation.session
    held = session is not None and body.is_response and session.is_dirty
    return Ok() if body.outflow.finish(pairs, held=held) else Err(body.wrong_size)


def set_response(world: World, outparam: ResponseOutparam, response: Ok | Err) -> None:
    """Raises BadResponse for one whose Content-Length is none."""
    answer = world.answer
    if not isinstance(answer, HttpAnswer):
        raise GuestTrap("response-outparam.set: there is nobody to answer")
    if isinstance(response, Err):
        answer.refuse(_refusal(world, response.value))
        return
    made: OutgoingResponse = response.value
    pairs = [(name.lower(), value) for name, value in sent(made.fields.pairs)]
    fields = tuple(pair for pair in pairs if pair[0] != b"content-length")
    asked = made.outflow is not None
    try:
        outflow = made.hand_over()
    except ValueError:
        raise BadResponse("the Content-Length of the response is no number") from None
    answer.set(Response(status=made.status, headers=Headers(fields)), outflow)
    if not asked:
        outflow.finish()


def _refusal(world: World, code: ErrorCode) -> Response:
    """What a client sees of an error that the guest answers with; its name is for the log."""
    said = code[1] if isinstance(code[1], str) else ""
    world.invocation.log(f"the guest answers with {code[0]} {printable(said)}".strip().encode())
    refused = Response.of_error(BadResponse(code[0]), world.invocation.request.id)
    return replace(refused, status=status_of(code))


FUNCTIONS = (
    function(
        "[constructor]outgoing-response", new_response, ("headers", own(Fields)), gives=own(OutgoingResponse)
    ),
    method(OutgoingResponse, "status-code", status_code, gives=U16),
    method(OutgoingResponse, "set-status-code", set_status_code, ("status-code", U16), gives=Result()),
    method(OutgoingResponse, "headers", headers, gives=own(Fields)),
    method(OutgoingResponse, "body", response_body, gives=Result(own(OutgoingBody))),
    method(OutgoingBody, "write", write, gives=Result(own(OutputStream))),
    function(
        "[static]outgoing-body.finish",
        finish,
        ("this", own(OutgoingBody)),
        ("trailers", Option(own(Fields))),
        gives=Result(None, ERROR_CODE),
    ),
    function(
        "[static]response-outparam.set",
        set_response,
        ("param", own(ResponseOutparam)),
        ("response", Result(own(OutgoingResponse), ERROR_CODE)),
    ),
)
