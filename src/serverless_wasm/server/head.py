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

from serverless_wasm.errors import BadRequest, ExpectationFailed, MethodUnknown, VersionNotSupported
from serverless_wasm.routing import normalise

CHUNKED = -1
"""The size of a body that says its length as it goes (RFC 9112 section 7.1)."""

# Narrower than RFC 3986's reg-name: no name of the DNS has sub-delimiters or escapes, and `a,b` is two hosts.
_HOST = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?")
_ABSOLUTE = re.compile(rb"(https?)://([^/?]*)", re.IGNORECASE)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
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
    """Method, target and version of a request line, its line end left out.

    RFC 9112 section 3 allows readers to split on any whitespace; we take single spaces only.
    Raises BadRequest, and VersionNotSupported for HTTP/0.9, 2.0 and whatever else is not 1.0 or 1.1.
    """
    words = line.split(b" ")
    if len(words) == 3:
        method, target, version = words
        if version == b"HTTP/1.1":
            return method.decode(), target, "1.1"
        if version == b"HTTP/1.0":
            return method.decode(), target, "1.0"
        if version.startswith(b"HTTP/"):
            raise VersionNotSupported("neither HTTP/1.1 nor HTTP/1.0")
    elif len(words) == 2:
        raise VersionNotSupported("HTTP/0.9: a request line without a version")
    raise BadRequest("the request line is not three words with single spaces between them")


def unknown_method(line: bytes) -> BadRequest | MethodUnknown:
    """What to answer when the parser does not know how a line begins: 501 if it could be a method."""
    if _TOKEN.fullmatch(line.partition(b" ")[0]):
        return MethodUnknown("no such method")
    return BadRequest("these bytes do not begin a request")


def examine(fields: Iterable[tuple[bytes, bytes]], version: str) -> tuple[bytes, int, bool, bool]:
    """What header fields say of the message: Host, size of the body, and whether 100 Continue is expected
    before it and an end of the connection after it.

    The parser below has already refused a Content-Length beside another or a Transfer-Encoding. Host is
    empty if it is missing, other than in HTTP/1.1. Raises BadRequest, ExpectationFailed, and MethodUnknown
    (501, RFC 9112 section 6.1) for a coding other than chunked.
    """
    host: bytes | None = None
    size, expects, closes = 0, False, False
    for name, value in fields:
        if name not in _JUDGED:
            if b"_" in name:  # as a CGI variable `x_y` is the same as `x-y`
                raise BadRequest("a header name with an underscore has two readings")
        elif name == b"host":
            if host is not None:
                raise BadRequest("more than one Host")
            host = value
        elif name == b"content-length":
            size = _length(value)
        elif name == b"transfer-encoding":
            size = _coding(value, version)
        elif name == b"expect":
            expects = _expectation(value, version)
        else:
            closes = closes or name == b"upgrade" or b"close" in _listed(value)
    if host == b"" or (host is None and version == "1.1"):
        raise BadRequest("no Host, or an empty one (RFC 9112 section 3.2, RFC 9110 section 4.2.1)")
    return host or b"", size, expects and size != 0, closes


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
        raise MethodUnknown("CONNECT: this is no proxy")
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
        raise BadRequest("the request target has none of the forms of RFC 9112 section 3.2")
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


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 20:
        raise BadRequest("Content-Length is not a number")
    return int(value)


def _coding(value: bytes, version: str) -> int:
    if version == "1.0":
        raise BadRequest("Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)")
    codings = _listed(value)
    if codings[-1] != b"chunked":
        raise BadRequest("the last transfer coding is not chunked (RFC 9112 section 6.3)")
    if len(codings) > 1:
        raise MethodUnknown("a transfer coding other than chunked")
    return CHUNKED


def _expectation(value: bytes, version: str) -> bool:
    if version == "1.0":
        return False  # RFC 9110 section 10.1.1: ignored
    if value.lower() != b"100-continue":
        raise ExpectationFailed("an expectation other than 100-continue")
    return True


def _listed(value: bytes) -> list[bytes]:
    return [item.strip().lower() for item in value.split(b",")]
