"""From (host, method, path) to the application that serves it.

Raw path bytes and route patterns come in; a normalised path and a Match go out.
It must never read a path in two ways, answer a request itself, or depend on the routes' order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import unquote_to_bytes

from serverless_wasm.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

T = TypeVar("T")

REST = "..."
"""The last segment of a wildcard pattern, and the parameter that holds what it matched."""
MAX_PATTERN_SEGMENTS = 64
"""Matching recurses once a segment of a pattern; no real path comes near."""

_RAW_BAD = re.compile(rb"[^\x21-\x7e]|[\\?#]")
_ESCAPE_BAD = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(rb"%2[fF]")
_UNREACHABLE = re.compile(r"[\x00-\x1f\x7f\\]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_NAME = re.compile(r":[A-Za-z_][A-Za-z0-9_-]{0,63}")
_FOREIGN = {
    "?": "a path alone; the query is not part of a route",
    "#": 'a path without "#", which no client sends',
    "*": 'a path that ends in "/..." to match everything below, such as "/files/..."',
    "{": 'a named segment written with ":", such as "/users/:id"',
}


def normalise(raw_path: bytes) -> str:
    r"""Decodes and normalises the path of a request target, once for routing and guest alike.

    | in the raw path                                   | becomes                           |
    | ------------------------------------------------- | --------------------------------- |
    | no `/` in front, or nothing at all                | BadRequest                        |
    | a space, a control, a byte over 0x7e, `\ ? #`     | BadRequest                        |
    | `%` without two hexadecimal digits                | BadRequest                        |
    | `%2F`, `%5C`, `%00` to `%1F`, `%7F`               | BadRequest                        |
    | escapes that are not UTF-8, overlong forms too    | BadRequest                        |
    | `..` above the root                               | BadRequest                        |
    | any other escape: `%41`, `%20`, `%3F`, `%C3%A9`   | its character: `A`, ` `, `?`, `é` |
    | an escaped escape: `%252e`                        | `%2e`, never decoded again        |
    | `.` and `..` segments, escaped ones too           | resolved (RFC 3986 section 5.2.4) |
    | `//`, a slash at the end, `;x`, upper case        | kept                              |

    Raises BadRequest with a sentence that quotes nothing of the path.
    """
    if not raw_path.startswith(b"/"):
        raise BadRequest("the path does not start with a slash")
    if _RAW_BAD.search(raw_path):
        raise BadRequest("the path holds a byte that must be percent-encoded, or a backslash")
    path = _decoded(raw_path) if b"%" in raw_path else raw_path.decode("ascii")
    return _without_dots(path) if "/." in path else path


def _decoded(raw_path: bytes) -> str:
    if _ESCAPE_BAD.search(raw_path):
        raise BadRequest("the path holds a percent sign without two hexadecimal digits")
    if _ENCODED_SLASH.search(raw_path):
        raise BadRequest("the path holds an encoded slash, which has two readings")
    try:
        path = unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("the path is not UTF-8 once decoded") from None
    if _UNREACHABLE.search(path):
        raise BadRequest("the path holds an encoded control character or backslash")
    return path


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, but `..` above the root is refused where the RFC drops it."""
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            if not kept:
                raise BadRequest("the path climbs above the root")
            kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def host_name(authority: str) -> str:
    """The name in a Host header, lower-case, without port, brackets and final dot."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    if authority.count(":") == 1:
        authority = authority.partition(":")[0]
    return authority.lower().removesuffix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A route's path as it is written, taken apart.

    `/hello` matches itself, `/users/:id` exactly one segment that is not empty in the place of
    `:id`, `/files/...` the path `/files` and everything below. One slash at the end is ignored.
    """

    text: str
    segments: tuple[str | None, ...]
    """Literals; None in the place of a named segment."""
    names: tuple[str, ...]
    rest: bool
    """Whether the pattern ends in `/...`."""

    @property
    def shape(self) -> tuple[tuple[str | None, ...], bool]:
        """Equal for two patterns that match the same paths: names do not tell them apart."""
        return self.segments, self.rest

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Takes a pattern apart; it is written decoded, as the guest sees its path.

        Raises ValueError, saying what to write, for anything that no path could match.
        """
        if not text.startswith("/"):
            raise ValueError('a path that starts with "/", such as "/hello"')
        parts = text[1:].removesuffix("/").split("/")
        parts = parts if parts != [""] or text == "//" else []
        if len(parts) > MAX_PATTERN_SEGMENTS:
            raise ValueError(f"a path of at most {MAX_PATTERN_SEGMENTS} segments")
        rest = parts[-1:] == [REST]
        segments = tuple(_segment(part) for part in (parts[:-1] if rest else parts))
        names = tuple(part[1:] for part in parts if part.startswith(":"))
        if len(set(names)) < len(names):
            raise ValueError("a different name for each named segment")
        return cls(text=text, segments=segments, names=names, rest=rest)


def _segment(part: str) -> str | None:
    if part.startswith(":"):
        if not _NAME.fullmatch(part):
            raise ValueError('a name of letters, digits, "_" and "-" after ":", such as "/users/:id"')
        return None
    if part.endswith(REST):
        raise ValueError('"..." as the whole last segment and nowhere else, such as "/files/..."')
    if part in {"", ".", ".."}:
        raise ValueError('a path without empty, "." and ".." segments, such as "/a/b"')
    if escape := _ESCAPE.search(part):
        raise ValueError(f"the character itself instead of {escape[0]}: routes are written decoded")
    if _UNREACHABLE.search(part):
        raise ValueError('a path without control characters and backslashes, such as "/a/b"')
    for sign, advice in _FOREIGN.items():
        if sign in part:
            raise ValueError(advice)
    return part


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[T]):
    """One way to a target; no methods means any, no host means every host."""

    pattern: Pattern
    target: T
    methods: tuple[str, ...] = ()
    host: str | None = None


def conflicts(routes: Iterable[Route[T]]) -> list[tuple[Route[T], Route[T]]]:
    """Pairs (earlier, later) of routes that no request could tell apart.

    That is: one host, one shape, and a method in common, or any method in both. An explicit method
    beside any is no conflict. Each later route is paired with the first owner of what it claims.
    """
    owners: dict[object, Route[T]] = {}
    found = []
    for route in routes:
        host = None if route.host is None else host_name(route.host)
        seen: list[Route[T]] = []
        for method in dict.fromkeys(route.methods or (None,)):
            owner = owners.setdefault((host, route.pattern.shape, method), route)
            if owner is not route and not any(owner is other for other in seen):
                seen.append(owner)
        found += [(owner, route) for owner in seen]
    return found


class MatchKind(Enum):
    """How much of a request a router knows."""

    NONE = "none"
    """No route has this path: 404."""
    PARTIAL = "partial"
    """A route has this path, none for this method: 405, or 204 for OPTIONS, with `allow`."""
    FULL = "full"
    """`target` serves this request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Generic[T]):
    """What the router found; `target` is set when the kind is FULL, `allow` when it is PARTIAL.

    `params` holds the named segments, and under `...` what a wildcard matched: for `/test/...`
    the path `/test` gives an empty string, `/test/` gives `/`, `/test/hello` gives `/hello`.
    """

    kind: MatchKind
    target: T | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    allow: tuple[str, ...] = ()


_NO_MATCH: Match[Any] = Match(kind=MatchKind.NONE)


class Router(Generic[T]):
    """Finds the most specific route; the order of the routes does not matter.

    A host's own routes come before those of every host. Among these a literal segment comes before
    a named one and that before a wildcard, from the left; for one pattern an explicit method comes
    before any. The cost depends on the path, not on the number of routes.

    Raises ValueError when two of the routes conflict.
    """

    def __init__(self, routes: Iterable[Route[T]]) -> None:
        self._everywhere: _Table[T] = _Table()
        self._by_host: dict[str, _Table[T]] = {}
        for route in routes:
            table = self._everywhere
            if route.host is not None:
                table = self._by_host.setdefault(host_name(route.host), _Table())
            table.endpoint(route.pattern).add(route)

    def match(self, host: str, method: str, path: str) -> Match[T]:
        """Looks a normalised path up; HEAD is served through GET unless it has a route.

        The first route that serves the method wins. If none does but a path matched, the kind is
        PARTIAL and `allow` names every method that any of them serves, and OPTIONS.
        """
        leaf = None if self._by_host else self._everywhere.leaf(path, method)
        if leaf is not None:
            return leaf.match(path)
        allow: set[str] = set()
        for table in self._tables(host):
            for endpoint in table.matching(path):
                leaf = endpoint.leaf(method)
                if leaf is not None:
                    return leaf.match(path)
                allow |= endpoint.methods
        if not allow:
            return _NO_MATCH
        return Match(kind=MatchKind.PARTIAL, allow=tuple(sorted(allow | {"OPTIONS"})))

    def _tables(self, host: str) -> tuple[_Table[T], ...]:
        own = self._by_host.get(host_name(host)) if self._by_host else None
        return (self._everywhere,) if own is None else (own, self._everywhere)


class _Table(Generic[T]):
    """The routes of one host: exact paths in a dictionary, the others in a tree of segments."""

    __slots__ = ("_exact", "_root")

    def __init__(self) -> None:
        self._exact: dict[str, _Endpoint[T]] = {}
        self._root: _Node[T] = _Node()

    def endpoint(self, pattern: Pattern) -> _Endpoint[T]:
        """The place for a pattern's routes, made when it is not there yet."""
        if not pattern.names and not pattern.rest:
            key = "".join(f"/{segment}" for segment in pattern.segments)
            return self._exact.setdefault(key, _Endpoint())
        return self._root.endpoint(pattern)

    def leaf(self, path: str, method: str) -> _Leaf[T] | None:
        """The route of this very path, if there is one that serves the method: none is more specific."""
        exact = self._exact.get(path.removesuffix("/")) if path.startswith("/") else None
        return exact.leaf(method) if exact is not None else None

    def matching(self, path: str) -> Iterator[_Endpoint[T]]:
        """Every endpoint that matches the path, the most specific first."""
        if not path.startswith("/"):
            return
        # An exact pattern is literal in every segment: nothing in the tree is more specific.
        exact = self._exact.get(path.removesuffix("/"))
        if exact is not None:
            yield exact
        yield from self._root.walk(path[1:].removesuffix("/").split("/") if path != "/" else [], 0)


class _Node(Generic[T]):
    __slots__ = ("here", "literals", "named", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.named: _Node[T] | None = None
        self.here: _Endpoint[T] | None = None
        self.rest: _Endpoint[T] | None = None

    def endpoint(self, pattern: Pattern) -> _Endpoint[T]:
        node = self
        for segment in pattern.segments:
            node = node._child(segment)
        if pattern.rest:
            node.rest = node.rest or _Endpoint()
            return node.rest
        node.here = node.here or _Endpoint()
        return node.here

    def _child(self, segment: str | None) -> _Node[T]:
        if segment is not None:
            return self.literals.setdefault(segment, _Node())
        self.named = self.named or _Node()
        return self.named

    def walk(self, segments: list[str], depth: int) -> Iterator[_Endpoint[T]]:
        """Endpoints from here on, the most specific first; visits a node at most once."""
        if depth == len(segments):
            if self.here is not None:
                yield self.here
        else:
            child = self.literals.get(segments[depth])
            if child is not None:
                yield from child.walk(segments, depth + 1)
            if self.named is not None and segments[depth]:
                yield from self.named.walk(segments, depth + 1)
        if self.rest is not None:
            yield self.rest


class _Endpoint(Generic[T]):
    """The routes of one shape, by method."""

    __slots__ = ("_any", "_by_method")

    def __init__(self) -> None:
        self._any: _Leaf[T] | None = None
        self._by_method: dict[str, _Leaf[T]] = {}

    def add(self, route: Route[T]) -> None:
        leaf = _Leaf(route)
        taken = False
        if not route.methods:
            taken, self._any = self._any is not None, leaf
        for method in route.methods:
            taken |= self._by_method.setdefault(method, leaf) is not leaf
        if taken:
            raise ValueError(f"two routes for {route.pattern.text} that no request can tell apart")

    def leaf(self, method: str) -> _Leaf[T] | None:
        """The route that serves a method; a GET route serves HEAD before an any-method route does."""
        leaf = self._by_method.get(method)
        if leaf is None and method == "HEAD":
            leaf = self._by_method.get("GET")
        return self._any if leaf is None else leaf

    @property
    def methods(self) -> set[str]:
        return {*self._by_method, "HEAD"} if "GET" in self._by_method else {*self._by_method}


class _Leaf(Generic[T]):
    """One route, and its Match, made once when nothing of it depends on the path."""

    __slots__ = ("_match", "_names", "_rest_from")

    def __init__(self, route: Route[T]) -> None:
        pattern = route.pattern
        places = (place for place, segment in enumerate(pattern.segments) if segment is None)
        self._match: Match[T] = Match(kind=MatchKind.FULL, target=route.target)
        self._names = tuple(zip(pattern.names, places, strict=True))
        self._rest_from = len(pattern.segments) if pattern.rest else None

    def match(self, path: str) -> Match[T]:
        if not self._names and self._rest_from is None:
            return self._match
        parts = path.split("/")[1:]
        params = {name: parts[place] for name, place in self._names}
        if self._rest_from is not None:
            params[REST] = "".join(f"/{part}" for part in parts[self._rest_from :])
        return Match(kind=MatchKind.FULL, target=self._match.target, params=params)
