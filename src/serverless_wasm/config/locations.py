"""The words of a configuration that say where something is, and who we are there: URLs, digests, credentials.

One text comes in; the same text, checked, goes out.
A refusal is a ValueError whose text completes "expected ..."; it must never repeat the value.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from serverless_wasm.config.values import file_path, folder_path

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<host>[A-Za-z0-9.:_\[\]-]*)(?P<path>/[^\x00-\x20\x7f?#\\]*)?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST_URL = 2048
_LONGEST_OPTION = 8192
_MODULES = frozenset({"https", "http", "s3", "gs", "az", "oci"})
_FILES = frozenset({"file", "memory", "https", "http", "s3", "gs", "az"})
_STORES = frozenset({"https", "http", "s3", "gs", "az", "oci"})


def module_path(value: str) -> str:
    """Reads where a module is: the path of a file, or a URL."""
    if _REMOTE.match(value):
        return _url(value, _MODULES, "a path, or a URL such as https://, s3://, gs://, az:// or oci://")
    try:
        return file_path(value)
    except ValueError:
        raise ValueError('the path or the URL of a module, such as "./hello.wasm"') from None


def files_url(value: str) -> str:
    """Reads where files of guests are: the path of a folder, or a URL."""
    if _REMOTE.match(value):
        return _url(value, _FILES, "a path, or a URL such as file:///, s3://, gs://, az:// or https://")
    return folder_path(value)


def store_url(value: str) -> str:
    """Reads the URL that a table of credentials is for."""
    return _url(value, _STORES, 'a URL such as "s3://bucket", "gs://", "az://", "https://" or "oci://"')


def key_value_url(value: str) -> str:
    """Reads where keys and values are kept; a server's URL may hold a name and a password."""
    match = re.fullmatch(r"(sqlite|rediss?)://([^\x00-\x20\x7f]+)", value)
    is_right = match is not None and (match[1] != "sqlite" or re.match("/.", match[2]))
    if not is_right or len(value) > _LONGEST_URL:
        raise ValueError('a URL such as "sqlite:///state.db" or "redis://127.0.0.1:6379/0"')
    return value


def _url(value: str, schemes: frozenset[str], expected: str) -> str:
    match = _URL.fullmatch(value)
    if match is None or match["scheme"] not in schemes or len(value) > _LONGEST_URL or not _has_port(value):
        raise ValueError(f"{expected}, without user, password, ? and #")
    named = match["host"] if match["scheme"] not in {"file", "memory"} else match["path"] or "/"
    if not named or {".", ".."} & set((match["path"] or "").split("/")):
        raise ValueError(f'{expected}, with a name behind the scheme and without "." and ".." behind it')
    if match["scheme"] == "file" and match["host"]:
        raise ValueError('three slashes and an absolute path, such as "file:///var/data"')
    return value


def _has_port(url: str) -> bool:
    """Whether host and port can be told apart, if there is a port."""
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def endpoint(value: str) -> str:
    """Reads where a store's server is."""
    return _url(value, frozenset({"http", "https"}), 'a URL such as "https://s3.example.com"')


def option(value: str) -> str:
    """Reads a name, a key or a secret of a store."""
    if not value or len(value) > _LONGEST_OPTION or _CONTROL.search(value):
        raise ValueError(f"a text of one line, at most {_LONGEST_OPTION} characters")
    return value


def is_open(url: str) -> bool:
    """Whether what comes from there may be changed on its way: plain HTTP from another machine."""
    if not url.startswith("http://"):
        return False
    host = urlsplit(url).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def digest(value: str) -> str:
    """Reads the digest of a module."""
    if not _DIGEST.fullmatch(value):
        raise ValueError('"sha256:" and 64 hexadecimal digits, as `serverless-wasm inspect` prints them')
    return value
