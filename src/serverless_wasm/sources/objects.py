"""Modules from object stores: S3, Google Cloud Storage and Azure.

The URL of an object comes in; its bytes, as they arrive, go out.
It must never show what a store's client says of a failure: URLs and answers in it may hold credentials.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import NotModifiedError, PermissionDeniedError, UnauthenticatedError

from serverless_wasm.sources.remote import CONNECT, PIECE, SILENCE, WHOLE, Away, Download, Known, cannot
from serverless_wasm.stores import Patience, Remote, open_objects
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from obstore import GetOptions

_PATIENCE = Patience(connect=CONNECT, request=WHOLE, retries=2)
_SECRETS = frozenset({"secret_access_key", "service_account", "account_key", "sas_token"})
_NO_CREDENTIALS = (
    "no credentials: no table [stores.NAME] is for it, nothing is in the environment, "
    "and this machine has none of its own"
)
_UNREACHED = (
    (r"169\.254\.169\.254|metadata|token request", _NO_CREDENTIALS),
    (r"dns error", "the name of the server is not known"),
    (r"InvalidCertificate|UnknownIssuer|CertExpired", "the certificate of the server is not trusted"),
    (r"InvalidMessage|InvalidContentType|HandshakeFailure", "the server does not speak TLS"),
    (r"BadScheme", "plain HTTP, which the endpoint of a table [stores.NAME] or AWS_ALLOW_HTTP=true allows"),
    (r"ConnectionRefused", "the server refuses connections"),
    (r"kind: Connect|tcp connect", "the server cannot be reached"),
)
_FAILED = (
    (r"IncompleteBody|kind: Interrupted", "the server closes the connection before the end"),
    (r"kind: Timeout|TimedOut", "the server does not answer in time"),
    (r"wrong region|incorrectly configured region", "the server redirects: the region is not right"),
    (r"Content-Length Header missing|Parse\(|kind: Unknown", "the server does not answer as such a store"),
)
"""What obstore says, and what it means; of several the first."""


@asynccontextmanager
async def opened(remote: Remote, known: Known | None) -> AsyncIterator[Download | None]:
    """The object at a URL; None when the store says that `known` is still right."""
    folder, _, name = remote.url.rpartition("/")
    if not name or not folder.partition("://")[2]:
        raise cannot(remote.url, "it names no object; write bucket and key, such as s3://bucket/hello.wasm")
    try:
        store = open_objects(Remote(url=folder, store=remote.store), _PATIENCE)
    except ValueError as error:
        raise cannot(remote.url, printable(str(error))) from None
    try:
        async with asyncio.timeout(SILENCE):
            options: GetOptions = {"if_none_match": known.validator} if known else {}
            answer = await obstore.get_async(store, name, options=options)
    except NotModifiedError:
        yield None
        return
    except Exception as error:  # obstore's own have no root in common
        raise _told(remote, error) from None
    yield Download(
        pieces=_pieces(remote, answer), size=answer.meta["size"], validator=answer.meta["e_tag"] or ""
    )


async def _pieces(remote: Remote, answer: obstore.GetResult) -> AsyncGenerator[bytes, None]:
    try:
        async for piece in answer.stream(min_chunk_size=PIECE):
            yield bytes(piece)
    except Exception as error:
        raise _told(remote, error) from None


def _told(remote: Remote, error: Exception) -> Exception:
    """What to raise for what obstore raised."""
    text = str(error)
    status = match[1] if (match := re.search(r"status code: ([0-9]{3})", text)) else ""
    if isinstance(error, TimeoutError):
        return Away(f"the server says nothing for {SILENCE:g} s")
    if isinstance(error, FileNotFoundError):
        return cannot(remote.url, "status 404, there is nothing")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) and "token request" not in text:
        return cannot(remote.url, f"status {status or 403}, no right to read it {_who(remote)}")
    for pattern, sentence in (*_UNREACHED, *_FAILED):
        if re.search(pattern, text):
            return Away(sentence, server=(pattern, sentence) in _UNREACHED)
    if status and not status.startswith("5"):
        return cannot(remote.url, f"status {status} instead of 200")
    return Away(f"status {status}, the server fails" if status else "the server fails")


def _who(remote: Remote) -> str:
    if remote.store and remote.store.anonymous:
        return "without credentials"
    if remote.store and not _SECRETS.isdisjoint(remote.store.options):
        return f"with the credentials of [stores.{remote.store.name}]"
    return "with the credentials of the environment"
