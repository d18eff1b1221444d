"""A registry of OCI artifacts over HTTP: requests with the credentials that it asks for.

A reference comes in; answers of the registry go out, with the token that was needed for them.
It must never send a password without TLS to another machine that nobody named.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from serverless_wasm.errors import SourceError
from serverless_wasm.sources.docker import find_login
from serverless_wasm.sources.remote import Away, cannot
from serverless_wasm.sources.web import answered, is_loopback, open_client, parsed
from serverless_wasm.stores import Remote, Store, authorization
from serverless_wasm.text import printable

_REFERENCE = re.compile(
    r"oci://(?P<registry>[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?)/"
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
"""OCI distribution specification 1.1, "Pulling manifests"."""
_CHALLENGE = re.compile(r'([a-z_]+)="([^"]*)"')
_TOKEN_LIMIT = 64 * 1024
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class _Login:
    """A user, and who says so."""

    authorization: str = field(repr=False)
    """RFC 7617."""
    who: str


Content = Callable[[], AsyncIterator[bytes]] | bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Which artifact of which registry."""

    url: str
    registry: str
    repository: str
    tag: str
    digest: str | None
    """Of the manifest, where the URL has one; the tag is no matter then."""

    @classmethod
    def parse(cls, url: str) -> Reference:
        """Reads `oci://registry/repository:tag` or `...@sha256:...`; raises SourceError."""
        match = _REFERENCE.fullmatch(url)
        if match is None:
            wanted = "write oci://registry/repository:tag or oci://registry/repository@sha256:..."
            raise SourceError(f"{printable(url)} names no artifact; {wanted}")
        registry, repository = match["registry"].lower(), match["repository"]
        if registry == "docker.io" and "/" not in repository:
            repository = f"library/{repository}"
        tag, digest = match["tag"] or "latest", match["digest"]
        return cls(url=url, registry=registry, repository=repository, tag=tag, digest=digest)

    @property
    def version(self) -> str:
        """What the registry is asked for: the digest, else the tag."""
        return self.digest or self.tag


class Registry:
    """Requests about one repository; made by `open_registry`."""

    def __init__(
        self, client: httpx.AsyncClient, reference: Reference, base: httpx.URL, store: Store | None
    ) -> None:
        self.reference = reference
        self.who = ""
        """Whose credentials were shown, for a refusal."""
        self._client = client
        self._base = base
        self._login = _login(reference.registry, store)
        token = store.options.get("token") if store else None
        self._authorization = f"Bearer {token}" if token else ""
        if store and token:
            self.who = _table(store)

    @asynccontextmanager
    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], content: Content = None
    ) -> AsyncIterator[httpx.Response]:
        """The answer to one request; `path` is below the repository, or a URL that the registry gave.

        Raises Away without an answer, and SourceError for an answer that must not be followed.
        """
        url = self._url(path)
        async with self._answered(method, url, headers, content) as response:
            if response.status_code != _UNAUTHORIZED or not self._may_show(response.request.url):
                yield response
                return
            challenge = response.headers.get("www-authenticate", "")
        await self._authorize(challenge)
        async with self._answered(method, url, headers, content) as response:
            yield response

    @asynccontextmanager
    async def _answered(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: Content
    ) -> AsyncIterator[httpx.Response]:
        shown = {name.encode(): value.encode() for name, value in headers.items()}
        if self._authorization and self._may_show(url):
            shown[b"authorization"] = self._authorization.encode()
        body: Any = content() if callable(content) else content
        request = self._client.build_request(method, url, headers=shown, content=body)
        async with answered(self._client, request) as response:
            yield response

    def place(self, response: httpx.Response) -> httpx.URL:
        """Where the registry wants something to be sent, which may be another server."""
        try:
            return response.request.url.join(response.headers.get("location", ""))
        except httpx.InvalidURL:
            raise SourceError("the registry names a place that is no URL") from None

    def _url(self, path: str) -> httpx.URL:
        return self._base.join(f"/v2/{self.reference.repository}/").join(path)

    def _may_show(self, url: httpx.URL) -> bool:
        return (url.scheme, url.host, url.port) == (self._base.scheme, self._base.host, self._base.port)

    async def _authorize(self, challenge: str) -> None:
        """Makes what the registry asks for: RFC 7617, or a token of the "token authentication" of Docker."""
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic" and self._login:
            self._authorization = self._login.authorization
            self.who = self._login.who
        elif kind.lower() == "bearer":
            self._authorization = f"Bearer {await self._token(dict(_CHALLENGE.findall(rest)))}"

    async def _token(self, asked: Mapping[str, str]) -> str:
        realm = self._realm(asked.get("realm", ""))
        query = {key: asked[key] for key in ("service", "scope") if key in asked}
        shown = {"authorization": self._login.authorization} if self._login else {}
        self.who = self._login.who if self._login else self.who
        request = self._client.build_request("GET", realm, params=query, headers=shown)
        async with answered(self._client, request) as response:
            if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise Away(f"status {response.status_code}, what gives out its tokens fails")
            if response.status_code != httpx.codes.OK:
                raise cannot(self.reference.url, f"status {response.status_code}, no token for it {self.how}")
            answer = await read_bounded(response, _TOKEN_LIMIT)
        try:
            token = msgspec.json.decode(answer, type=_Token)
        except msgspec.DecodeError:
            raise cannot(self.reference.url, "the registry's token is not understood") from None
        value = token.token or token.access_token
        if not value.isascii() or not value.isprintable():
            raise cannot(self.reference.url, "the registry's token is not understood")
        return value

    @property
    def how(self) -> str:
        """With whose credentials it was tried."""
        where = "run docker login, or write a table [stores.NAME]"
        return f"with {self.who}" if self.who else f"without credentials; {where}"

    def _realm(self, text: str) -> httpx.URL:
        """Where tokens are given out; the password goes there."""
        realm = parsed(text, self.reference.url)
        local = self._base.scheme == "http" and realm.scheme == "http"
        if realm.scheme == "https" or (local and (is_loopback(realm.host) or realm.host == self._base.host)):
            return realm
        raise cannot(self.reference.url, f"its tokens are given out at {printable(text, 200)!r}, without TLS")


@asynccontextmanager
async def open_registry(remote: Remote) -> AsyncIterator[Registry]:
    """The registry of an artifact; raises SourceError for what is no reference."""
    reference = Reference.parse(remote.url)
    base = _base(reference, remote.store)
    async with open_client(remote.store, secure=base.scheme == "https") as client:
        yield Registry(client, reference, base, remote.store)


async def read_bounded(response: httpx.Response, limit: int) -> bytes:
    """A small answer as a whole; raises SourceError when it is larger, Away when it breaks off."""
    data = bytearray()
    try:
        async for piece in response.aiter_raw():
            data += piece
            if len(data) > limit:
                raise SourceError(f"the registry's answer has more than {limit} bytes")
    except (httpx.HTTPError, OSError):
        raise Away("the registry closes the connection before the end") from None
    return bytes(data)


class _Token(msgspec.Struct):
    token: str = ""
    access_token: str = ""


def _base(reference: Reference, store: Store | None) -> httpx.URL:
    """Plain HTTP is for this machine, and for whoever writes it into `endpoint`."""
    if store and "endpoint" in store.options:
        return parsed(store.options["endpoint"], reference.url)
    host = "registry-1.docker.io" if reference.registry == "docker.io" else reference.registry
    url = parsed(f"https://{host}", reference.url)
    plain = is_loopback(url.host) and not (store and "ca" in store.options)
    return url.copy_with(scheme="http") if plain else url


def _login(registry: str, store: Store | None) -> _Login | None:
    """The user of the table, else the one that docker knows."""
    if store and ("token" in store.options or store.anonymous):
        return None
    if store and "username" in store.options:
        return _Login(authorization=authorization(store) or "", who=_table(store))
    login = find_login(registry)
    if login is None:
        return None
    options = {"username": login.user, "password": login.password}
    shown = authorization(Store(name="", url="", options=options)) or ""
    return _Login(authorization=shown, who=f"the login in {printable(str(login.file))}")


def _table(store: Store) -> str:
    return f"the credentials of [stores.{store.name}]"
