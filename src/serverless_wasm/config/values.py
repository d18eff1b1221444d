"""The words of a configuration that have a grammar of their own: addresses, hosts, methods, routes.

One value that tomllib read comes in; the same value in its one checked spelling goes out.
A refusal is a ValueError whose text completes "expected ..."; it must never repeat the value.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from serverless_wasm.net.policy import Rule
from serverless_wasm.routing import Pattern, host_name

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # a label in logs, metrics and file names alike
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # RFC 9110 section 5.6.2
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}"  # RFC 1035 section 2.3.4
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_ADDRESS = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+):([0-9]{1,5})")
_MOUNT = re.compile(r"/(?:[^/\x00-\x1f\x7f]+(?:/[^/\x00-\x1f\x7f]+)*)?")
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ANY = frozenset({"*", "ANY", "ALL"})


class Address(NamedTuple):
    """Where the service listens; an IPv6 host is without brackets."""

    host: str
    port: int


def listen_address(value: object) -> Address:
    """Reads `host:port`; port 0 lets the system choose."""
    match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match and int(match[2]) <= 65535 and (host := _listen_host(match[1])):
        return Address(host, int(match[2]))
    raise ValueError(
        'host:port such as "127.0.0.1:8080", "[::1]:8080", or "0.0.0.0:8080" for every interface'
    )


def _listen_host(text: str) -> str | None:
    try:
        if text.startswith("["):
            return str(IPv6Address(text[1:-1]))
        if text.rpartition(".")[2].isdigit():  # only an address ends in a number: WHATWG URL section 3.5
            return str(IPv4Address(text))
    except ValueError:
        return None
    return text.lower() if _HOST.fullmatch(text) else None


def workers(value: object) -> int | None:
    """Reads a number of processes; None for "auto"."""
    if value == "auto":
        return None
    if type(value) is int and 0 <= value <= 256:
        return value
    raise ValueError('"auto" for one each processor, a whole number from 1 to 256, or 0 for a single process')


def methods(value: object) -> list[str]:
    """Reads one method or a list of them, in any case; gives them in upper case, each once."""
    words = value if isinstance(value, list) else [value]
    upper = [word.upper() for word in words if isinstance(word, str) and _TOKEN.fullmatch(word)]
    if not words or len(upper) < len(words):
        raise ValueError('a method such as "GET", or a list such as ["GET", "POST"]')
    if not _ANY.isdisjoint(upper):
        raise ValueError("no method key at all, which means any method")
    return list(dict.fromkeys(upper))


def url_path(value: str) -> str:
    """Reads a route's path, and gives it as it is."""
    Pattern.parse(value)
    return value


def host(value: str) -> str:
    """Reads the exact name of a virtual host, and gives it as routing.host_name does."""
    name = host_name(value)
    if value.lower().removesuffix(".") != name or not _HOST.fullmatch(value.removesuffix(".")):
        raise ValueError("a host name without scheme and port, such as www.example.com, in ASCII letters")
    return name


def outbound_host(value: str) -> str:
    """Reads an entry of `allowed_outbound_hosts`, and gives it as it is."""
    try:
        Rule.parse(value)
    except ValueError as error:
        raise ValueError(f"scheme://host:port ({error})") from None
    return value


def file_path(value: str) -> str:
    """Reads the path of a module on this machine."""
    if not value or len(value) > 4096 or _CONTROL.search(value) or _REMOTE.match(value):
        raise ValueError('the path of a file on this machine, such as "./hello.wasm"')
    return value


def folder_path(value: str) -> str:
    """Reads the path of a folder on this machine."""
    try:
        return file_path(value)
    except ValueError:
        raise ValueError('the path of a folder on this machine, such as "./site"') from None


def mount_name(value: str) -> str:
    """Reads the name under which guests find a folder, and gives it as it is."""
    if not _MOUNT.fullmatch(value) or len(value) > 256 or {".", ".."} & set(value.split("/")):
        raise ValueError('an absolute path for the guest, without "." and "..", such as "/data"')
    return value


def argument(value: str) -> str:
    """Reads an argument of a command."""
    if "\0" in value or len(value) > 65_536:
        raise ValueError("a text without NUL, at most 64 KiB")
    return value


def function(value: str) -> str:
    """Reads the name of an export."""
    if not value or len(value) > 256 or _CONTROL.search(value):
        raise ValueError('the name of a function that the module exports, such as "handle"')
    return value


def variable(value: str) -> str:
    """Reads the name of a variable."""
    if not _VARIABLE.fullmatch(value):
        raise ValueError('lower-case letters, digits and "_", at most 64, a letter first, such as "api_key"')
    return value


def name(value: str) -> str:
    """Reads the name of an application."""
    if not _NAME.fullmatch(value):
        raise ValueError('at most 64 lower-case letters, digits, "-" and "_", such as "hello"')
    return value
