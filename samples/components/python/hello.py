"""A component of wasi:http in Python: greets whom the query names, answers POST with the body in capitals.

The body is answered as it arrives. Below its path, /ticks answers in parts, /dice shows clock and random,
/backend calls $BACKEND.
"""

import os
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qs, urlsplit

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.outgoing_handler import handle as send
from wit_world.imports.types import (
    Fields,
    IncomingBody,
    IncomingRequest,
    IncomingResponse,
    Method_Post,
    OutgoingBody,
    OutgoingRequest,
    OutgoingResponse,
    ResponseOutparam,
    Scheme_Http,
)

MOST = 4096  # bytes that one `blocking-write-and-flush` may have


def answer(out: ResponseOutparam, parts: Iterable[bytes], status: int = 200) -> None:
    """Sends a response, each part as soon as it is there."""
    response = OutgoingResponse(Fields.from_list([("content-type", b"text/plain; charset=utf-8")]))
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(out, Ok(response))
    with body.write() as stream:
        for part in parts:
            for at in range(0, len(part), MOST):
                stream.blocking_write_and_flush(part[at : at + MOST])
    OutgoingBody.finish(body, None)


def read(body: IncomingBody) -> Iterator[bytes]:
    """What a body has, as it arrives."""
    with body, body.stream() as stream:
        try:
            while True:
                yield stream.blocking_read(65536)
        except Err:  # closed: that was all
            return


def greeting(query: str) -> Iterator[bytes]:
    name = parse_qs(query).get("name", ["world"])[0]
    yield f"Hello, {name}, from Python".encode()


def ticks() -> Iterator[bytes]:
    for count in range(1, 4):
        yield f"tick {count}\n".encode()
        time.sleep(0.1)


def dice() -> Iterator[bytes]:
    yield f"second {int(time.time())}, a {secrets.randbelow(6) + 1}".encode()


def fetch(url: str) -> IncomingResponse:
    """The answer to a GET, once its head is there; raises Err when there is none."""
    parts = urlsplit(url)
    request = OutgoingRequest(Fields())
    request.set_scheme(Scheme_Http())
    request.set_authority(parts.netloc)
    request.set_path_with_query(parts.path)
    with send(request, None) as future:
        with future.subscribe() as arrival:
            arrival.block()
        result = future.get().value
    if isinstance(result, Err):
        raise result
    return result.value


def backend(out: ResponseOutparam) -> None:
    try:
        response = fetch(os.environ["BACKEND"])
    except (Err, KeyError):
        answer(out, [b"no answer of the backend"], 502)
    else:
        answer(out, read(response.consume()), response.status())


class IncomingHandler(exports.IncomingHandler):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        url = urlsplit(request.path_with_query())
        post = isinstance(request.method(), Method_Post)
        sys.stderr.write(f"Python answers {'POST' if post else 'GET'}\n")
        if post:
            answer(response_out, (part.upper() for part in read(request.consume())))
        elif url.path.endswith("/ticks"):
            answer(response_out, ticks())
        elif url.path.endswith("/dice"):
            answer(response_out, dice())
        elif url.path.endswith("/backend"):
            backend(response_out)
        else:
            answer(response_out, greeting(url.query))
