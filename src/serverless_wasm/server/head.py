"""The head of a request: the rules of RFC 9110 and RFC 9112 that the parser below us leaves open.

A request line and header fields come in; method, target, host and framing go out, in one reading only.
It must never repair what has two readings: that is 400, because another server may read it the other way.

`Forwarded` and `X-Forwarded-*` pass as the client sent them: they are claims, and nothing here believes them.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address
from itertools import count

from serverless_wasm.errors import (
    BadRequest,
    CodingUnknown,
    ExpectationFailed,
    MethodUnknown,
    VersionNotSupported,
)
from serverless_wasm.routing import normalise

CHUNKED = -1
"""The size of a body that says its length as it goes (RFC 9112 section 7.1)."""

LINE_START = 64
"""Bytes of a request line that show whether it is one: none of its methods is as long."""

# Narrower than RFC 3986's reg-name: no name of the DNS has sub-delimiters, escapes or empty labels.
_HOST = re.compile(rb"([A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
_ABSOLUTE = re.compile(rb"(https?)://([^/?]*)", re.IGNORECASE)
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,63}) ([!-~]+) HTTP/1\.([01])\r")
_OTHER_VERSION = re.compile(rb"%b [!-~]+(?: HTTP/[0-9]\.[0-9])?\r" % _TOKEN)
_LINE_START = re.compile(rb"(?:%b(?: (?:[!-~]+(?: [!-~]{0,8})?)?)?)?\r?" % _TOKEN)
_FORMS = re.compile(rb"/|\*\Z|https?://", re.IGNORECASE)
_NO_FORM = "the request target has none of the forms of RFC 9112 section 3.2"
_NO_PROXY = "CONNECT: this is no proxy"
_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_JUDGED = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"transfer-encoding",
        b"upgrade",
    }
)


def request_ids() -> Iterator[str]:
    """Ids that no other door gives out: a random prefix, then a counter."""
    prefix = secrets.token_hex(4)
    return (f"{prefix}-{number:x}" for number in count(1))


def address_text(address: object) -> str:
    """A socket's address as `127.0.0.1:80`, `[::1]:80`, or the path of a Unix socket."""
    if isinstance(address, (tuple, list)):
        host, port = str(address[0]), address[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"unix:{address}" if address else "unix"


def request_line(line: bytes) -> tuple[str, bytes, str]:
    """Method, target and version of a request line, given without its LF.

    RFC 9112 section 3 allows readers to split on any whitespace; we take single spaces only. Of a target
    it is known that it is visible ASCII and looks like one of the forms. Raises BadRequest,
    MethodUnknown for CONNECT and for a method too long to be one, and VersionNotSupported for HTTP/0.9,
    2.0 and whatever else is not 1.0 or 1.1.
    """
    match = _LINE.fullmatch(line)
    if match is not None:
        method, target, minor = match.groups()
        if method == b"CONNECT":
            raise MethodUnknown(_NO_PROXY)
        if not _FORMS.match(target):
            raise BadRequest(_NO_FORM)
        return method.decode(), target, f"1.{minor.decode()}"
    check_start(line[:LINE_START])
    if _OTHER_VERSION.fullmatch(line):
        raise VersionNotSupported("neither HTTP/1.1 nor HTTP/1.0")
    if not line.endswith(b"\r"):
        raise BadRequest("a bare LF at the end of the request line")
    raise BadRequest("the request line is not three words with single spaces between them")


def check_start(start: bytes) -> None:
    """Raises BadRequest or MethodUnknown if no request line begins like this; LINE_START bytes will do."""
    if not _LINE_START.fullmatch(start):
        raise BadRequest("these bytes do not begin a request")
    if len(start) >= LINE_START and b" " not in start:
        raise MethodUnknown("no such method")


def examine(fields: Iterable[tuple[bytes, bytes]], version: str) -> tuple[bytes, int, bool, bool]:
    """What header fields say of the message: Host, size of the body, and whether 100 Continue is expected
    before it and another request after it.

    Host is empty if it is missing, other than in HTTP/1.1. Raises BadRequest, ExpectationFailed, and
    CodingUnknown.
    """
    said: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        if name in _JUDGED:
            said.setdefault(name, []).append(value)
        elif b"_" in name:  # as a CGI variable `x_y` is the same as `x-y`
            raise BadRequest("a header name with an underscore has two readings")
    hosts = said.get(b"host", [])
    if len(hosts) > 1:
        raise BadRequest("more than one Host")
    if hosts == [b""] or (not hosts and version == "1.1"):
        raise BadRequest("no Host, or an empty one (RFC 9112 section 3.2, RFC 9110 section 4.2.1)")
    size = _size(said.get(b"content-length", []), said.get(b"transfer-encoding", []), version)
    expects = [_expectation(value, version) for value in said.get(b"expect", [])]
    keeps = b"upgrade" not in said and _persists(said.get(b"connection", []), version)
    return hosts[0] if hosts else b"", size, any(expects) and size != 0, keeps


def host_name(host: bytes) -> str:
    """The host of a Host field: lower-case, without the port; IPv6 in its brackets; "" for none.

    Raises BadRequest for what is neither a name nor an address.
    """
    return _name_and_port(host)[0] if host else ""


def split_target(method: str, target: bytes, host: bytes) -> tuple[str, str]:
    """Path and query of a request target, the path normalised.

    Takes the origin form, the absolute form if its authority agrees with Host, and `*` for OPTIONS.
    Raises BadRequest, and MethodUnknown for CONNECT.
    """
    if method == "CONNECT":
        raise MethodUnknown(_NO_PROXY)
    if b"#" in target:
        raise BadRequest("a fragment in the request target")
    if not target.startswith(b"/"):
        if target == b"*" and method == "OPTIONS":
            return "*", ""
        target = _origin_form(target, host)
    path, _, query = target.partition(b"?")
    return normalise(path), query.decode("latin-1")


def target_host(target: bytes) -> bytes:
    """The authority in a target of the absolute form; empty for the other forms."""
    match = _ABSOLUTE.match(target)
    return match[2] if match else b""


def _origin_form(target: bytes, host: bytes) -> bytes:
    match = _ABSOLUTE.match(target)
    if match is None:
        raise BadRequest(_NO_FORM)
    port = _DEFAULT_PORTS[match[1].lower()]
    # RFC 9112 section 3.2.2 lets the target win; who routes by Host would disagree, so both must agree.
    if _name_and_port(match[2], port) != _name_and_port(host or match[2], port):
        raise BadRequest("the request target and Host name different hosts")
    rest = target[match.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def _name_and_port(host: bytes, default_port: int = 80) -> tuple[str, int]:
    match = _HOST.fullmatch(host)
    if match is None:
        raise BadRequest("Host is neither a name nor an address")
    name, port = match[1].decode().lower(), int(match[2] or default_port)
    if port > 65_535 or (name[0] == "[" and not _is_ipv6(name[1:-1])):
        raise BadRequest("Host is neither a name nor an address")
    return name, port


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _size(lengths: list[bytes], codings: list[bytes], version: str) -> int:
    """The size of a body, for which there is one field at most."""
    if codings:
        if lengths:
            raise BadRequest("both Content-Length and Transfer-Encoding (RFC 9112 section 6.1)")
        return _coded(_listed(b",".join(codings)), version)
    if len(lengths) > 1:
        raise BadRequest("more than one Content-Length")
    return _length(lengths[0]) if lengths else 0


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise BadRequest("Content-Length is not a number")
    return int(value)


def _coded(codings: list[bytes], version: str) -> int:
    if version == "1.0":
        raise BadRequest("Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)")
    if codings[-1] != b"chunked":
        raise BadRequest("the last transfer coding is not chunked (RFC 9112 section 6.3)")
    if b"" in codings or b"chunked" in codings[:-1]:
        raise BadRequest("chunked twice, or an empty transfer coding (RFC 9112 section 7.1)")
    if len(codings) > 1:
        raise CodingUnknown("a transfer coding other than chunked")
    return CHUNKED


def _expectation(value: bytes, version: str) -> bool:
    if version == "1.0":
        return False  # RFC 9110 section 10.1.1: ignored
    if value.lower() != b"100-continue":
        raise ExpectationFailed("an expectation other than 100-continue")
    return True


def _persists(connections: list[bytes], version: str) -> bool:
    """RFC 9112 section 9.3."""
    if not connections:
        return version == "1.1"
    options = _listed(b",".join(connections))
    return b"close" not in options and (version == "1.1" or b"keep-alive" in options)


def _listed(value: bytes) -> list[bytes]:
    return [item.strip(b" \t").lower() for item in value.split(b",")]
