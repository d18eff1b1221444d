"""RFC 9112 once more, as regular expressions over a whole stream: what our door must make of any bytes.

The bytes of a connection come in; the requests that they hold go out, and the first thing that is wrong.
It must never share code with the door, nor care for speed, splits or limits: it is here to be compared with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import unquote_to_bytes

Fields = tuple[tuple[bytes, bytes], ...]

METHODS = frozenset(
    b"""
        ACL BIND CHECKOUT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE
        NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE
        TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE
    """.split()
)
"""Methods that are implemented: those of the registry that the parser of heads knows, without CONNECT."""

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/1\.([01])\r\n" % TOKEN)
_LINE_OF_OTHER_VERSION = re.compile(rb"%b [\x21-\x7e]+(?: HTTP/[0-9]\.[0-9])?\r\n" % TOKEN)
_FIELD = re.compile(
    rb"(%b):[\t ]*((?:[\x21-\x7e\x80-\xff](?:[\t -\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[\t ]*\r\n" % TOKEN
)
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*"'
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})(?:;%b(?:=(?:%b|%b))?)*\r\n" % (TOKEN, TOKEN, _QUOTED))
_ABSOLUTE = re.compile(rb"(https?)://([^/?]*)(.*)", re.IGNORECASE)
_HOST = re.compile(rb"(?:(?:[A-Za-z0-9_~-]+\.)*[A-Za-z0-9_~-]+\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


@dataclass(frozen=True, slots=True)
class Request:
    """One request as somebody understood it; `target` is decoded, its query not."""

    method: bytes
    path: str
    query: bytes
    host: str
    fields: Fields
    body: bytes
    head: bytes = field(default=b"", compare=False)
    """The bytes of its head, where they are known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All that somebody understood, then with which status the rest was refused; 0 if nothing was."""

    requests: tuple[Request, ...]
    status: int = 0
    fault: str = ""
    unfinished: bool = False
    """Whether more bytes are due."""
    at: int = 0
    """Where the first byte is that belongs to none of the requests."""


class Fault(Exception):
    """The bytes are no request; its name is a key of rules.SECTIONS."""

    def __init__(self, name: str, status: int = 400) -> None:
        super().__init__(name)
        self.name = name
        self.status = status


class Unfinished(Exception):
    """The bytes are the beginning of a request."""


def read(stream: bytes) -> Reading:
    """What a stream says; where it is unfinished or a request closes the connection, the rest is nothing."""
    requests: list[Request] = []
    at, more = 0, True
    try:
        while more:
            request, at, more = _message(stream, at)
            requests.append(request)
    except Unfinished:
        return Reading(tuple(requests), unfinished=True, at=at)
    except Fault as fault:
        return Reading(tuple(requests), fault.status, fault.name, at=at)
    return Reading(tuple(requests), at=at)


def _message(stream: bytes, at: int) -> tuple[Request, int, bool]:
    while stream.startswith(b"\r\n", at):
        at += 2
    start = at
    method, target, version, at = _request_line(stream, at)
    fields, at = _fields(stream, at)
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    if any(b"_" in name for name in values):
        raise Fault("underscore in a name")
    host = _host(values.get(b"host", []), version)
    framing = _framing(values, version)
    _check_authority(host or b"a")
    path, query, authority = _target(method, target, host)
    head = stream[start:at]
    body, at = _body(stream, at, framing)
    called = re.sub(rb":[0-9]*$", b"", host or authority).decode().lower()
    request = Request(method, path, query, called, fields, body, head)
    return request, at, _persists(values, version)


def _line(stream: bytes, at: int) -> tuple[bytes, int]:
    end = stream.find(b"\n", at) + 1
    if not end:
        raise Unfinished
    return stream[at:end], end


def _request_line(stream: bytes, at: int) -> tuple[bytes, bytes, int, int]:
    line, end = _line(stream, at)
    if re.fullmatch(rb"%b{64}.*" % TOKEN.removesuffix(b"+"), line, re.DOTALL):
        raise Fault("unknown method", 501)
    match = _LINE.fullmatch(line)
    if match is None:
        if _LINE_OF_OTHER_VERSION.fullmatch(line):
            raise Fault("other version", 505)
        raise Fault(_name_of(line, "request line"))
    if not re.match(rb"/|\*$|https?://", match[2], re.IGNORECASE) and match[1] != b"CONNECT":
        raise Fault("form of the target")
    if match[1] not in METHODS:
        raise Fault("unknown method", 501)
    return match[1], match[2], int(match[3]), end


def _fields(stream: bytes, at: int) -> tuple[Fields, int]:
    fields: list[tuple[bytes, bytes]] = []
    while True:
        line, at = _line(stream, at)
        if line == b"\r\n":
            return tuple(fields), at
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Fault("obs-fold" if line[:1] in {b" ", b"\t"} else _name_of(line, "field line"))
        if match[1].lower() == b"transfer-encoding" and re.search(
            rb"\S[ \t]*\t[ \t]*\r\n", line[len(match[1]) + 1 :]
        ):
            raise Fault("tab behind a coding")
        fields.append((match[1].lower(), match[2]))


def _name_of(line: bytes, otherwise: str) -> str:
    """What is wrong with a line."""
    text = line.removesuffix(b"\n")
    if not text.endswith(b"\r"):
        return "bare LF"
    text = text.removesuffix(b"\r")
    if b"\r" in text:
        return "bare CR"
    if b"\0" in text:
        return "NUL"
    if re.search(rb"[\x01-\x08\x0b-\x1f\x7f]", text):
        return "control character"
    if otherwise == "field line" and re.match(rb"%b[\t ]+:" % TOKEN, text):
        return "space before the colon"
    return otherwise


def _host(hosts: list[bytes], version: int) -> bytes:
    if len(hosts) > 1:
        raise Fault("more than one Host")
    if (not hosts and version) or hosts == [b""]:
        raise Fault("no Host")
    return hosts[0] if hosts else b""


def _check_authority(host: bytes) -> None:
    name, _, port = host.rpartition(b":") if re.search(rb":[0-9]*$", host) else (host, b"", b"")
    if not _HOST.fullmatch(host) or int(port or 0) > 65_535:
        raise Fault("not a host")
    if name.startswith(b"["):
        try:
            IPv6Address(name[1:-1].decode())
        except ValueError:
            raise Fault("not a host") from None


def _framing(values: dict[bytes, list[bytes]], version: int) -> int:
    """The size of the body; -1 for chunked."""
    lengths, codings = values.get(b"content-length", []), values.get(b"transfer-encoding", [])
    if lengths and codings:
        raise Fault("length and coding")
    if not codings:
        if len(lengths) > 1:
            raise Fault("more than one length")
        length = lengths[0] if lengths else b"0"
        if not re.fullmatch(rb"[0-9]{1,20}", length) or int(length) >= 2**64:
            raise Fault("not a length")
        return int(length)
    if not version:
        raise Fault("coding in HTTP/1.0")
    names = [name.strip(b" \t").lower() for name in b",".join(codings).split(b",")]
    if names == [b"chunked"]:
        return -1
    if names[-1] != b"chunked" or b"" in names or b"chunked" in names[:-1]:
        raise Fault("codings that do not end in one chunked")
    raise Fault("unknown coding", 501)


def _target(method: bytes, target: bytes, host: bytes) -> tuple[str, bytes, bytes]:
    if b"#" in target:
        raise Fault("fragment")
    if target == b"*" and method == b"OPTIONS":
        return "*", b"", b""
    authority = b""
    if not target.startswith(b"/"):
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise Fault("form of the target")
        authority = match[2]
        _check_authority(authority)
        if host and _with_port(host, match[1]) != _with_port(authority, match[1]):
            raise Fault("two hosts")
        target = match[3] if match[3].startswith(b"/") else b"/" + match[3]
    path, _, query = target.partition(b"?")
    return _path(path), query, authority


def _with_port(host: bytes, scheme: bytes) -> bytes:
    name = re.sub(rb":[0-9]*$", b"", host)
    port = host[len(name) + 1 :] or {b"http": b"80", b"https": b"443"}[scheme.lower()]
    return b"%b:%d" % (name.lower(), int(port))


def _path(raw: bytes) -> str:
    if re.search(rb"%(?![0-9A-Fa-f]{2})|%2f|%5c|%[01].|%7f|\\", raw, re.IGNORECASE):
        raise Fault("ambiguous path")
    try:
        segments = unquote_to_bytes(raw).decode().split("/")[1:]
    except UnicodeDecodeError:
        raise Fault("ambiguous path") from None
    kept: list[str] = []
    for place, segment in enumerate(segments):
        if segment == "..":
            if not kept:
                raise Fault("above the root")
            kept.pop()
        if segment in {".", ".."}:
            kept += [""] * (place == len(segments) - 1)
        else:
            kept.append(segment)
    return "/" + "/".join(kept)


def _body(stream: bytes, at: int, size: int) -> tuple[bytes, int]:
    if size >= 0:
        if len(stream) < at + size:
            raise Unfinished
        return stream[at : at + size], at + size
    body = b""
    while True:
        size, at = _chunk_size(stream, at)
        if not size:
            return body, _trailers(stream, at)
        body += stream[at : at + size]
        at += size + 2
        if not b"\r\n".startswith(stream[at - 2 : at]):
            raise Fault("end of a chunk")
        if at > len(stream):
            raise Unfinished


def _chunk_size(stream: bytes, at: int) -> tuple[int, int]:
    line, end = _line(stream, at)
    match = _CHUNK.fullmatch(line)
    if match is None:
        raise Fault(_name_of(line, "chunk size"))
    return int(match[1], 16), end


def _trailers(stream: bytes, at: int) -> int:
    while True:
        line, at = _line(stream, at)
        if line == b"\r\n":
            return at
        match = _FIELD.fullmatch(line)
        if match is None:
            raise Fault("trailer line")
        if match[1].lower() in {b"content-length", b"transfer-encoding"}:
            raise Fault("framing in a trailer")


def _persists(values: dict[bytes, list[bytes]], version: int) -> bool:
    said = {
        item.strip(b" \t").lower() for value in values.get(b"connection", []) for item in value.split(b",")
    }
    if b"close" in said or b"upgrade" in values:
        return False
    return bool(version) or b"keep-alive" in said
