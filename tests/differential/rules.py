"""Every known disagreement about the bytes of a request, with the section that makes our reading right.

A Trial comes in; for each peer the rules that explain it go out, or what nobody has explained.
It must never explain away a request that both understood and read differently, save by a rule that says how.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from differential.backend import plain_path
from differential.grammar import Request
from differential.trial import Seen, Trial, agreed

WORDS = ("method", "path", "query", "host", "fields", "body")
"""What is compared of a request that both understood, one by one."""

FAULTS = {
    "NUL": (
        "RFC 9110 section 5.5: NUL in a value is invalid and dangerous; RFC 9112 section 3: no NUL in a line"
    ),
    "above the root": (
        "RFC 3986 section 5.2.4 has nothing above the root; who keeps the dots sees another path"
    ),
    "ambiguous path": ("RFC 3986 section 2.2: %2F is no slash, yet some take it for one; so for backslashes"),
    "bare CR": "RFC 9112 section 2.2: a CR that no LF follows is invalid, or a space: two readings",
    "bare LF": (
        "RFC 9112 section 2.2: a recipient may, not must, take LF alone for a line end: two readings"
    ),
    "chunk size": (
        "RFC 9112 section 7.1: a size is hexadecimal digits, an extension a name and value after `;`"
    ),
    "coding in HTTP/1.0": "RFC 9112 section 6.1: Transfer-Encoding in HTTP/1.0 is faulty framing",
    "codings that do not end in one chunked": "RFC 9112 section 6.3: no length can be told; 400 and close",
    "control character": (
        "RFC 9110 section 5.5 and RFC 9112 section 3: no control character is allowed there"
    ),
    "end of a chunk": "RFC 9112 section 7.1: chunk-data ends with CR LF where its size says",
    "field line": "RFC 9112 section 5: a field line is a token, a colon and a value",
    "form of the target": "RFC 9112 section 3.2: a target has one of four forms; ours are http and https",
    "fragment": "RFC 9110 section 7.1: a target has no fragment",
    "framing in a trailer": "RFC 9110 section 6.5.1: no trailer may be about framing",
    "length and coding": (
        "RFC 9112 section 6.1: Content-Length beside Transfer-Encoding ought to be an error"
    ),
    "more than one Host": "RFC 9112 section 3.2: 400 is a must",
    "more than one length": (
        "RFC 9110 section 8.6: a repeated Content-Length is invalid, or one value: two readings"
    ),
    "no Host": (
        "RFC 9112 section 3.2: 400 is a must in HTTP/1.1; RFC 9110 section 4.2.1: nor may it be empty"
    ),
    "not a host": (
        "RFC 9112 section 3.2: 400 is a must for an invalid value; no name of the DNS is like this"
    ),
    "not a length": "RFC 9110 section 8.6: Content-Length is digits; ours are 20 at most, and below 2^64",
    "obs-fold": "RFC 9112 section 5.2: 400, or spaces instead: two readings",
    "other version": "RFC 9112 section 2.3, RFC 9110 section 15.6.6: neither HTTP/1.1 nor HTTP/1.0 is 505",
    "request line": "RFC 9112 section 3: method, target and version with single spaces between them",
    "space before the colon": "RFC 9112 section 5.1: 400 is a must",
    "tab behind a coding": "RFC 9110 section 5.6.3 allows it, but nobody sends it, and servers disagree",
    "trailer line": "RFC 9112 section 7.1.2: a trailer is a field line, and that ends with CR LF",
    "two hosts": "RFC 9112 section 3.2.2 lets the target win; who routes by Host disagrees",
    "underscore in a name": "RFC 3875 section 4.1.18: a CGI variable reads `_` as `-`: two readings",
    "unknown coding": "RFC 9112 section 6.1: 501 for a transfer coding that is not implemented",
    "unknown method": "RFC 9110 section 15.6.2: 501 for a method that is not implemented",
}
"""What the grammar finds wrong, and why that is refused."""

TAKEN = {
    "nginx": frozenset(FAULTS)
    - {"above the root", "coding in HTTP/1.0", "codings that do not end in one chunked", "length and coding"}
    - {"more than one Host", "more than one length", "no Host", "tab behind a coding", "unknown coding"},
    "haproxy": frozenset(FAULTS)
    - {"bare CR", "field line", "fragment", "space before the colon", "two hosts", "unknown coding"},
}
"""What each peer takes all the same, at least at times."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where two readings part: the bytes in question, and who said what about them."""

    rest: bytes
    fault: str
    status: int
    ours: Request | None
    theirs: Request | None
    peer: Seen
    before: bytes = b""
    """The head of the request before, which both understood."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which one peer reads otherwise than we do."""

    peer: str
    name: str
    section: str
    holds: Callable[[Point], bool]


def _has(point: Point, pattern: bytes) -> bool:
    """Whether the bytes in question have this."""
    return re.search(pattern, point.rest, re.IGNORECASE) is not None


def _refused(point: Point, *statuses: int) -> bool:
    return point.theirs is None and point.peer.status in statuses


RULES = (
    Rule(
        "nginx",
        "merges slashes, then removes dot segments",
        "RFC 3986 section 3.3: an empty segment is a segment",
        lambda at: _only(at, "path") and at.theirs is not None and at.theirs.path == _merged(at.ours),
    ),
    Rule(
        "nginx",
        "drops fields whose names are not letters, digits and `-`",
        "RFC 9110 section 5.1: a name is a token",
        lambda at: (
            _only(at, "fields") and at.theirs is not None and at.theirs.fields == _plain_fields(at.ours)
        ),
    ),
    Rule(
        "nginx",
        "drops the dot at the end of a host",
        "RFC 9110 section 4.2.3: hosts are compared as they are; routing.py drops the dot as well",
        lambda at: (
            _only(at, "host")
            and at.ours is not None
            and at.theirs is not None
            and at.ours.host == at.theirs.host + "."
        ),
    ),
    Rule(
        "nginx",
        "obeys the last of several Connection fields",
        "RFC 9112 section 9.3: close in any of them closes",
        lambda at: at.fault == "" and at.ours is None and _twice(at.rest, b"close", b"keep-alive"),
    ),
    Rule(
        "nginx",
        "finds `close` in the middle of other words of Connection",
        "RFC 9110 section 7.6.1: connection options are whole tokens",
        lambda at: _refused(at, 0) and at.peer.closed and _close_within(at.before),
    ),
    Rule(
        "nginx",
        "takes a tab for a part of a field's value",
        "RFC 9110 section 5.6.3: optional whitespace is spaces and tabs",
        lambda at: (
            _refused(at, 400, 501)
            and _has(at, rb"(content-length|transfer-encoding|host):(\t| +\t|[^\r\n]*\t *\r)")
        ),
    ),
    Rule(
        "nginx",
        "answers 405 to TRACE and CONNECT",
        "RFC 9110 section 9.3.8: an application may serve TRACE; section 15.6.2: 501 for CONNECT",
        lambda at: _refused(at, 405) and _has(at, rb"(TRACE|CONNECT)[ \t]"),
    ),
    Rule(
        "nginx",
        "answers 413 to a body beyond a megabyte before it looks at anything else",
        "RFC 9110 section 15.5.14: a limit of an application here, and of all of them there",
        lambda at: (
            _refused(at, 413) and _has(at, rb"content-length:[ \t]*[0-9]{7}|\r\n0*[1-9a-f][0-9a-f]{5}")
        ),
    ),
    Rule(
        "nginx",
        "refuses a length of 2^63 or more at once, where we wait for it",
        "RFC 9110 section 8.6: any length is valid; the application's limit ends it",
        lambda at: _refused(at, 400) and at.fault == "" and _has(at, rb"content-length:[ \t]*[0-9]{19}"),
    ),
    Rule(
        "nginx",
        "answers 501 to every transfer coding but chunked, whatever else is wrong",
        "RFC 9112 section 6.3: 400 where chunked is not the last, and what is wrong first is answered first",
        lambda at: _refused(at, 501) and at.fault != "" and _has(at, rb"transfer-encoding[: \t\r]"),
    ),
    Rule(
        "nginx",
        "answers 505 to a version behind whitespace, or ahead of an error before it",
        "RFC 9112 section 3: a line of other whitespace has two readings, and is 400",
        lambda at: _refused(at, 505) and at.fault != "" and at.status != 505,
    ),
    Rule(
        "nginx",
        "answers HTTP/0.9, without a status",
        "RFC 9112 section 2.3: HTTP/0.9 is no version of this grammar; 505",
        lambda at: (
            at.theirs is None and at.peer.status == 0 and at.peer.closed and at.fault != "" and _bare(at.peer)
        ),
    ),
    Rule(
        "nginx",
        "answers 400 to a method of other characters, to other versions, and to an error behind the first",
        "RFC 9110 sections 15.6.2 and 15.6.6: 501 and 505",
        lambda at: _refused(at, 400) and at.status in {501, 505},
    ),
    Rule(
        "haproxy",
        "answers 400 to methods and versions that it does not know",
        "RFC 9110 sections 15.6.2 and 15.6.6: 501 and 505",
        lambda at: _refused(at, 400) and at.status in {501, 505},
    ),
    Rule(
        "haproxy",
        "answers 422 to transfer codings that it does not know",
        "RFC 9112 section 6.1: 501; section 6.3: 400 where chunked is not the last",
        lambda at: _refused(at, 422) and at.fault != "" and _has(at, rb"transfer-encoding[: \t]"),
    ),
    Rule(
        "haproxy",
        "answers 413 to a body in HTTP/1.0 with a method that seldom has one",
        "RFC 9110 section 9.3.1: such a body has no meaning, and is framed as any other",
        lambda at: _refused(at, 413) and _has(at, rb"^(?:\r\n)*[A-Z]+ [^\r\n]*[ \t]HTTP/(1\.0|0\.9|[02-9])"),
    ),
    Rule(
        "haproxy",
        "reads no further in Connection than to what is no token",
        "RFC 9110 section 5.6.1: a list of tokens; close in any place closes",
        lambda at: (
            at.fault == ""
            and at.ours is None
            and _has(at, rb"\r\nconnection:[^\r]*[^\r\w!#$%&'*+.^`|~, \t-]")
        ),
    ),
    Rule(
        "haproxy",
        "answers 400 to an absolute form without a path",
        "RFC 9110 section 4.2.1: http://a?b is a URI, its path is empty",
        lambda at: _refused(at, 400) and _has(at, rb"^(?:\r\n)*[^ ]+ https?://[^/ ]*\? *"),
    ),
    *(
        Rule(
            peer,
            "refuses a chunk of some petabytes at once, where we wait for it",
            "RFC 9112 section 7.1: any size is valid; the application's limit ends it",
            lambda at: _refused(at, 400) and at.fault == "" and _has(at, rb"\r\n[1-9a-f][0-9a-f]{11}"),
        )
        for peer in TAKEN
    ),
    *(
        Rule(
            peer,
            "goes on behind a request that asks for an upgrade, where we close",
            "RFC 9112 section 9.6: a server may close after any response",
            lambda at: at.fault == "" and at.ours is None and _has(at, rb"\r\nupgrade:"),
        )
        for peer in TAKEN
    ),
)


def explain(trial: Trial, peer: str) -> Iterator[str | None]:
    """The name of the rule for each disagreement with a peer; None for one that no rule explains."""
    seen, reading, before = trial.theirs[peer], trial.grammar, b""
    for mine, theirs in zip_longest(agreed(reading.requests), seen.requests):
        if mine is None or theirs is None:
            break
        for name in WORDS:
            if getattr(mine, name) != getattr(theirs, name):
                other = replace(mine, **{name: getattr(theirs, name)})
                yield _rule(peer, Point(mine.head, "", 0, mine, other, seen))
        before = mine.head
    else:
        mine = theirs = None
    same_end = (seen.status, seen.closed) == (reading.status, not reading.unfinished)
    if mine is not None:
        yield _rule(peer, Point(mine.head, "", 0, mine, None, seen, before))
    elif theirs is not None or not same_end:
        yield _rule(peer, Point(_rest(trial), reading.fault, reading.status, None, theirs, seen, before))


def _rest(trial: Trial) -> bytes:
    """What we did not understand; the last request, if we wanted no more after it."""
    reading = trial.grammar
    if reading.fault or reading.unfinished:
        return trial.data[reading.at :]
    return reading.requests[-1].head


def _rule(peer: str, point: Point) -> str | None:
    went_on = point.theirs is not None or (point.peer.status == 0 and not point.peer.closed)
    if point.ours is None and went_on and point.fault in TAKEN[peer]:
        return f"takes: {point.fault}"
    return next((rule.name for rule in RULES if rule.peer == peer and rule.holds(point)), None)


def _only(at: Point, name: str) -> bool:
    """Whether both understood a request, and this word of it is in question."""
    return (
        at.ours is not None and at.theirs is not None and getattr(at.ours, name) != getattr(at.theirs, name)
    )


def _merged(request: Request | None) -> str:
    assert request is not None
    target = request.head.split(b" ", 2)[1]
    authority = re.match(rb"(?i:https?://[^/?]*)?", target)
    assert authority is not None
    return plain_path(authority[0] + re.sub(rb"//+", b"/", target[authority.end() :]))[0]


def _twice(head: bytes, first: bytes, second: bytes) -> bool:
    """Whether one Connection field has an option, and a later one another."""
    pattern = rb"\r\nconnection:[^\r]*%b[^\r]*\r\n(?:.*\r\n)?connection:[^\r]*%b" % (first, second)
    return re.search(pattern, head, re.IGNORECASE | re.DOTALL) is not None


def _close_within(head: bytes) -> bool:
    """Whether `close` stands in a Connection field, though not as an option of its own."""
    values = re.findall(rb"\r\nconnection:([^\r]*)", head, re.IGNORECASE)
    options = [option.strip().lower() for value in values for option in value.split(b",")]
    return b"close" not in options and any(b"close" in option for option in options)


def _plain_fields(request: Request | None) -> tuple[tuple[bytes, bytes], ...]:
    assert request is not None
    return tuple(pair for pair in request.fields if re.fullmatch(rb"[a-z0-9-]+", pair[0]))


def _bare(seen: Seen) -> bool:
    """Whether the last answer had no head."""
    return (
        b"HTTP/1." not in seen.received.rpartition(b"\r\n\r\n")[2]
        and len(seen.requests) <= seen.received.count(b"HTTP/1.1 200") + 1
    )


def our_fault(trial: Trial) -> str | None:
    """What is wrong with our own door: it must do what the grammar says, to the letter."""
    ours, reading = trial.ours, trial.grammar
    if ours.requests != agreed(reading.requests):
        return f"{len(ours.requests)} requests, not the {len(reading.requests)} of the grammar"
    if ours.status != reading.status:
        return f"status {ours.status}, not {reading.status} ({reading.fault})"
    if ours.closed == reading.unfinished:
        return "the connection is open" if not ours.closed else "the connection is closed"
    return None
