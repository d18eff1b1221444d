"""Stores elsewhere: what the operator wrote of one, and the client that talks to it.

A URL and the credentials of a `[stores.NAME]` table come in; an object store of obstore goes out.
It must never print a credential, nor wait longer than it was told.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, HTTPStore, MemoryStore, ObjectStore, S3Store

_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "s3": {
            "endpoint": "endpoint",
            "region": "region",
            "access_key_id": "access_key_id",
            "secret_access_key": "secret_access_key",
            "session_token": "session_token",
        },
        "gs": {"endpoint": "base_url", "service_account": "service_account"},
        "az": {
            "endpoint": "endpoint",
            "account": "account_name",
            "account_key": "account_key",
            "sas_token": "sas_key",
        },
        "https": {"username": "", "password": "", "token": ""},
        "http": {"username": "", "password": "", "token": ""},
        "oci": {"endpoint": "", "username": "", "password": "", "token": ""},
        "memory": {},
    }
)
"""What a table may say for each scheme, and obstore's name of it; beside `ca` and `anonymous`."""
OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {scheme: frozenset(names) | {"ca"} for scheme, names in _NAMES.items()}
)
"""The options of a table, by the scheme of its URL; `ca` is the path of a PEM file to trust as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One `[stores.NAME]` table: who we are for every URL that begins with `url`."""

    name: str
    url: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    """As the table has them, by the names of `OPTIONS`; values may be secrets."""
    anonymous: bool = False
    """Whether requests go unsigned."""

    def covers(self, url: str) -> bool:
        """Whether the table is meant for this URL."""
        root = self.url.rstrip("/")
        return url == root or url.startswith(root + "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A place that is not on a disk of this machine; without `store` the environment says who we are."""

    url: str
    store: Store | None = None

    def __str__(self) -> str:
        """The URL, which holds no credentials."""
        return self.url

    @property
    def scheme(self) -> str:
        """In lower case."""
        return urlsplit(self.url).scheme


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one request to a store may take, in seconds, and how often it is tried again."""

    connect: float = 2.0
    request: float = 5.0
    retries: int = 1


def covering(url: str, stores: tuple[Store, ...]) -> Store | None:
    """The table that is meant for a URL: of several the one with the longest."""
    return max(
        (store for store in stores if store.covers(url)), key=lambda store: len(store.url), default=None
    )


def open_objects(remote: Remote, patience: Patience) -> ObjectStore:
    """A client for the objects below `remote`; nothing is asked of the store yet.

    What no table says obstore reads from the usual environment of the provider. Raises ValueError, a
    sentence without the credentials, for what cannot be a client.
    """
    try:
        return _opened(remote, patience)
    except OSError as error:
        raise ValueError(f"ca: {error.strerror}") from None
    except Exception as error:  # obstore's own and those of its parts have no root in common
        raise ValueError(next(iter(str(error).splitlines()), type(error).__name__)) from None


def _opened(remote: Remote, patience: Patience) -> ObjectStore:
    parts = urlsplit(remote.url)
    settings: dict[str, Any] = {
        "client_options": _client(remote, patience),
        "retry_config": {
            "max_retries": patience.retries,
            "retry_timeout": timedelta(seconds=patience.request),
        },
    }
    prefix = parts.path.strip("/") or None
    match parts.scheme:
        case "s3":
            return S3Store(parts.netloc, prefix=prefix, **_named(remote), **settings)
        case "gs":
            return GCSStore(parts.netloc, prefix=prefix, **_named(remote), **settings)
        case "az":
            return AzureStore(parts.netloc, prefix=prefix, **_named(remote), **settings)
        case "http" | "https":
            return HTTPStore(remote.url, **settings)
        case "memory":
            return MemoryStore()
        case _:
            raise ValueError(f"no store speaks {parts.scheme}://")


def _named(remote: Remote) -> dict[str, Any]:
    """The options of the table under the names of obstore; the environment stands behind them."""
    if remote.store is None:
        return {}
    names = _NAMES[remote.scheme]
    named: dict[str, Any] = {
        names[key]: value for key, value in remote.store.options.items() if names.get(key)
    }
    return named | ({"skip_signature": True} if remote.store.anonymous else {})


def _client(remote: Remote, patience: Patience) -> dict[str, Any]:
    options = remote.store.options if remote.store else {}
    client: dict[str, Any] = {
        "timeout": timedelta(seconds=patience.request),
        "connect_timeout": timedelta(seconds=patience.connect),
        # obstore leaves this one of its environment to us
        "allow_http": options.get("endpoint", remote.url).startswith("http://")
        or (remote.scheme == "s3" and os.environ.get("AWS_ALLOW_HTTP") == "true"),
    }
    if "ca" in options:
        client["root_certificate"] = Path(options["ca"]).read_bytes()
    if remote.scheme in {"http", "https"} and (credentials := authorization(remote.store)):
        client["default_headers"] = {"authorization": credentials}
    return client


def authorization(store: Store | None) -> str | None:
    """The field `authorization` of a table: its token (RFC 6750), or its name and password (RFC 7617)."""
    options = store.options if store else {}
    if "token" in options:
        return f"Bearer {options['token']}"
    if "username" in options:
        pair = f"{options['username']}:{options.get('password', '')}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"
    return None
