"""Modules from web servers, and the HTTP client that registries are asked with.

A URL comes in; the bytes of one response, as they arrive, go out.
It must never follow a redirect from TLS to plain HTTP, nor show a credential to another server.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from ipaddress import ip_address
from pathlib import Path

import httpx

from serverless_wasm.errors import SourceError
from serverless_wasm.sources.remote import CONNECT, SILENCE, Away, Download, Known, cannot
from serverless_wasm.stores import Remote, Store, authorization
from serverless_wasm.text import printable

_REDIRECTS = 5
_PORTS = 65_535
_HERE = ("all://localhost", "all://127.0.0.1", "all://[::1]")
"""No proxy of the environment is asked for this machine: it would be told our credentials without TLS."""
_OK, _NOT_MODIFIED = 200, 304
_NO_RIGHT = frozenset({401, 403, 407})
_GONE = frozenset({404, 410})
_ILL = frozenset({408, 425, 429})  # and 500 and above: it may well be better later


def is_loopback(host: str) -> bool:
    """Whether it is this machine, to which nobody else listens."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_client(store: Store | None, *, secure: bool) -> httpx.AsyncClient:
    """A client that trusts what the system trusts and the table's `ca`; raises SourceError for a bad one."""
    return httpx.AsyncClient(
        verify=_trust(store),
        timeout=httpx.Timeout(SILENCE, connect=CONNECT),
        headers={"accept-encoding": "identity", "user-agent": "serverless-wasm"},
        max_redirects=_REDIRECTS,
        mounts=dict.fromkeys(_HERE),
        event_hooks={"request": [partial(_vet, secure)]},
    )


def _trust(store: Store | None) -> ssl.SSLContext:
    path = store.options.get("ca", "") if store else ""
    try:
        return _context(path, Path(path).stat().st_mtime_ns if path else 0)
    except OSError as error:  # ssl.SSLError is one
        reason = "not a PEM certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise SourceError(f"ca {printable(path)}: {reason}") from None


@lru_cache(maxsize=4)
def _context(ca: str, changed: int) -> ssl.SSLContext:  # noqa: ARG001 - makes a renewed file another one
    """Takes 20 ms, and is the same for all of a release."""
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(ca)
    return context


async def _vet(secure: bool, request: httpx.Request) -> None:  # noqa: FBT001 - bound by partial
    if secure and request.url.scheme != "https":
        raise SourceError(f"it redirects to {printable(str(request.url.copy_with(query=None)))}, without TLS")


@asynccontextmanager
async def opened(remote: Remote, known: Known | None) -> AsyncIterator[Download | None]:
    """The module at a URL; None when the server says that `known` is still right."""
    headers = {b"if-none-match": known.validator.encode(errors="replace")} if known else {}
    if credentials := authorization(remote.store):
        headers[b"authorization"] = credentials.encode()
    url = parsed(remote.url, remote.url)
    who = f"the credentials of [stores.{remote.store.name}]" if credentials and remote.store else ""
    async with (
        open_client(remote.store, secure=url.scheme == "https") as client,
        answered(client, client.build_request("GET", url, headers=headers)) as response,
    ):
        if known and response.status_code == _NOT_MODIFIED:
            yield None
            return
        require(remote.url, response, who)
        yield download(response)


@asynccontextmanager
async def answered(client: httpx.AsyncClient, request: httpx.Request) -> AsyncIterator[httpx.Response]:
    """The head of the answer, after redirects; raises Away without one, SourceError for a wrong redirect."""
    try:
        response = await client.send(request, stream=True, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        unreached = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        raise Away(reason(error, request.url), server=unreached) from None
    try:
        yield response
    finally:
        await response.aclose()


def parsed(text: str, url: str) -> httpx.URL:
    """A URL as the client wants it; raises SourceError, about `url`, for what is none."""
    try:
        found = httpx.URL(text)
    except httpx.InvalidURL:
        found = None
    if found is None or (found.port or 0) > _PORTS:
        raise cannot(url, f"{printable(text)} is no URL of HTTP")
    return found


def require(url: str, response: httpx.Response, who: str) -> None:
    """Raises SourceError or Away unless the answer is 200; `who` says whose credentials were shown."""
    status = response.status_code
    if status in _NO_RIGHT:
        how = f"with {who}" if who else "without credentials; write them into a table [stores.NAME]"
        raise cannot(url, f"status {status}, no right to read it {how}")
    if status in _GONE:
        raise cannot(url, f"status {status}, there is nothing")
    if status in _ILL or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise Away(f"status {status}, the server fails")
    if status != _OK:
        raise cannot(url, f"status {status} instead of 200")
    coding = response.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        raise cannot(url, f"it comes with content-encoding {printable(coding, 40)}, which was not asked for")


def download(response: httpx.Response) -> Download:
    """What the answer holds."""
    length = response.headers.get("content-length", "")
    return Download(
        pieces=_pieces(response),
        size=int(length) if re.fullmatch("[0-9]{1,18}", length) else None,
        validator=response.headers.get("etag", ""),
    )


async def _pieces(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in response.aiter_raw():
            yield piece
    except (httpx.HTTPError, OSError) as error:
        raise Away(reason(error, response.request.url)) from None


def reason(error: Exception, url: httpx.URL) -> str:
    """Why there is no answer, or only the beginning of one: what follows "cannot be fetched:"."""
    server = printable(f"{url.host}:{url.port}" if url.port else url.host, 300)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {server} is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"{server} does not speak TLS: {cause.reason or 'no handshake'}"
        if type(cause).__name__ == "gaierror":  # of the module socket, which only net may use
            return f"the name {printable(url.host, 300)} is not known"
        if isinstance(cause, ConnectionRefusedError):
            return f"{server} refuses connections"
        if isinstance(cause, OSError) and cause.strerror:
            return f"{server} cannot be reached: {cause.strerror}"
    return f"{server} {_manner(error)}"


def _manner(error: Exception) -> str:
    match error:
        case httpx.ConnectTimeout():
            return f"does not take a connection within {CONNECT:g} s"
        case httpx.TimeoutException():
            return f"says nothing for {SILENCE:g} s"
        case httpx.UnsupportedProtocol():
            return "redirects to what is not HTTP"
        case httpx.TooManyRedirects():
            return f"redirects more than {_REDIRECTS} times"
        case httpx.RemoteProtocolError() if re.search("closed|disconnected", str(error)):
            return "closes the connection before the end"
        case httpx.RemoteProtocolError() | httpx.InvalidURL():
            return "does not answer in HTTP"
    return "cuts the connection"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it came from, and the members of groups among those."""
    depth = 0
    while error is not None and depth < 10:  # a chain may be a circle
        yield error
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                yield from _causes(member)
        error, depth = error.__cause__ or error.__context__, depth + 1
