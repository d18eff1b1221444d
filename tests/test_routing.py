"""Routing: one reading of a path, the most specific route, and conflicts that are named."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.errors import BadRequest
from serverless_wasm.routing import (
    MAX_PATTERN_SEGMENTS,
    MatchKind,
    Pattern,
    Route,
    Router,
    conflicts,
    host_name,
    normalise,
)


def route(target: str, pattern: str, *methods: str, host: str | None = None) -> Route[str]:
    return Route(pattern=Pattern.parse(pattern), target=target, methods=methods, host=host)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b"/", "/"),
        (b"/hello", "/hello"),
        (b"/hello/", "/hello/"),
        (b"//", "//"),
        (b"//a///b", "//a///b"),
        (b"/;x=1", "/;x=1"),
        (b"/A", "/A"),
        (b"/a.", "/a."),
        (b"/.a/..b/c..", "/.a/..b/c.."),
        (b"/.../x", "/.../x"),
        (b"/a:b@c!$&'()*+,=~_-", "/a:b@c!$&'()*+,=~_-"),
        (b"/%41%7e", "/A~"),
        (b"/%20%3F%23%25", "/ ?#%"),
        (b"/%C3%A9%c3%a9", "/éé"),
        (b"/%F0%9F%90%8D", "/🐍"),
        (b"/%252e%252e/%2541", "/%2e%2e/%41"),
        (b"/.", "/"),
        (b"/./", "/"),
        (b"/a/.", "/a/"),
        (b"/a/..", "/"),
        (b"/a/../", "/"),
        (b"/a/b/../c", "/a/c"),
        (b"/a/b/..", "/a/"),
        (b"/a/%2e%2E/b", "/b"),
        (b"/a/.%2e/./%2e/b", "/b"),
        (b"/a//../b", "/a/b"),
        (b"/.//a", "//a"),
    ],
)
def test_normalise_gives_one_path(raw: bytes, path: str) -> None:
    """Every path that has one reading is decoded once and its dot segments are resolved."""
    assert path == normalise(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"*",
        b"hello",
        b"%2Fhello",
        b"http://localhost/hello",
        b"/..",
        b"/../a",
        b"/a/../../b",
        b"/%2e%2e",
        b"/%2e%2e%2f",
        b"/a%2fb",
        b"/a%2Fb",
        b"/a%5cb",
        b"/a\\b",
        b"/a b",
        b"/a?b",
        b"/a#b",
        b"/a\tb",
        b"/a\x00b",
        b"/a\x7fb",
        b"/caf\xc3\xa9",
        b"/%00",
        b"/%0d%0aSet-Cookie:x",
        b"/%1b",
        b"/%7F",
        b"/%",
        b"/%4",
        b"/%zz",
        b"/%%41",
        b"/%u0041",
        b"/%+1",
        b"/%c0%af",
        b"/%c0%ae%c0%ae/",
        b"/%e0%80%af",
        b"/%ed%a0%80",
        b"/%f4%90%80%80",
        b"/%ff",
        b"/%c3",
    ],
)
def test_normalise_refuses_what_has_two_readings(raw: bytes) -> None:
    """A path that two programs could read differently is a BadRequest (THREATS C8)."""
    with pytest.raises(BadRequest, match=r"^the path "):
        normalise(raw)


def test_normalise_takes_thousands_of_segments() -> None:
    """The number of segments needs no limit of its own: the target is bounded elsewhere."""
    assert "/" + "a/" * 4000 == normalise(b"/" + b"a/" * 4000)
    assert "/" == normalise(b"/" + b"a/" * 2000 + b"../" * 2000)


@given(st.lists(st.sampled_from(["", ".", "..", "a", "%2e", "%C3%A9", "%25", "%2541", ";", "%3F"])))
def test_normalise_is_idempotent(segments: list[str]) -> None:
    """A normalised path, quoted again, normalises to itself, and holds no dot segment."""
    try:
        path = normalise(f"/{'/'.join(segments)}".encode())
    except BadRequest:
        return
    assert path == normalise(quote(path).encode())
    assert not {".", ".."} & set(path.split("/"))


@given(st.binary(max_size=40))
def test_normalise_takes_any_bytes(tail: bytes) -> None:
    """Whatever a client sends gives a clean path or a BadRequest, never anything else."""
    try:
        path = normalise(b"/" + tail)
    except BadRequest:
        return
    assert path.startswith("/")
    assert not any(character < " " or character in "\x7f\\" for character in path)
    assert path == normalise(quote(path).encode())


@pytest.mark.parametrize(
    ("authority", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com:8080", "example.com"),
        ("example.com.", "example.com"),
        ("example.com.:80", "example.com"),
        ("127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8080", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
        ("", ""),
        (":80", ""),
        ("[", ""),
    ],
)
def test_host_name(authority: str, name: str) -> None:
    """A host is compared by its name alone."""
    assert name == host_name(authority)


@pytest.mark.parametrize(
    ("text", "segments", "names", "rest"),
    [
        ("/", (), (), False),
        ("/hello", ("hello",), (), False),
        ("/hello/", ("hello",), (), False),
        ("/users/:id", ("users", None), ("id",), False),
        ("/:a/x/:b-2/", (None, "x", None), ("a", "b-2"), False),
        ("/...", (), (), True),
        ("/files/...", ("files",), (), True),
        ("/files/.../", ("files",), (), True),
        ("/a/:x/...", ("a", None), ("x",), True),
        ("/é x/100%", ("é x", "100%"), (), False),
    ],
)
def test_pattern(text: str, segments: tuple[str | None, ...], names: tuple[str, ...], *, rest: bool) -> None:
    """A pattern is taken apart into literals, names and a wildcard."""
    expected = Pattern(text=text, segments=segments, names=names, rest=rest)
    assert expected == Pattern.parse(text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", 'starts with "/"'),
        ("hello", 'starts with "/"'),
        ("//", "without empty"),
        ("/a//b", "without empty"),
        ("/a//", "without empty"),
        ("/./a", "without empty"),
        ("/a/..", "without empty"),
        ("/:", "a name of letters"),
        ("/:1", "a name of letters"),
        ("/:é", "a name of letters"),
        ("/:a:b", "a name of letters"),
        ("/:...", "a name of letters"),
        ("/:a/:a", "a different name"),
        ("/.../a", "last segment"),
        ("/a...", "last segment"),
        ("/.../...", "last segment"),
        ("/files/*", "everything below"),
        ("/{id}", "/users/:id"),
        ("/a?b=1", "query"),
        ("/a#b", "#"),
        ("/a%20b", "instead of %20"),
        ("/a\\b", "backslash"),
        ("/a\x00", "control"),
        ("/a" * (MAX_PATTERN_SEGMENTS + 1), "at most 64"),
    ],
)
def test_pattern_says_what_to_write(text: str, advice: str) -> None:
    """A pattern that no path could match is refused with the remedy."""
    with pytest.raises(ValueError, match=advice.replace("?", r"\?")):
        Pattern.parse(text)


@given(st.text(max_size=20))
def test_pattern_takes_any_text(text: str) -> None:
    """Any text is a pattern or a ValueError, and a literal one matches itself."""
    try:
        pattern = Pattern.parse(text)
    except ValueError:
        return
    if not pattern.names and not pattern.rest:
        assert text == normalise(quote(text).encode())
        assert "it" == Router([route("it", text)]).match("", "GET", text).target


@pytest.mark.parametrize(
    ("path", "target", "params"),
    [
        ("/", "root", {}),
        ("//", "all", {"...": "//"}),
        ("/hello", "hello", {}),
        ("/hello/", "hello", {}),
        ("/hello//", "all", {"...": "/hello//"}),
        ("/Hello", "all", {"...": "/Hello"}),
        ("/users/7", "user", {"id": "7"}),
        ("/users/7/", "user", {"id": "7"}),
        ("/users/me", "me", {}),
        ("/users/", "all", {"...": "/users/"}),
        ("/users//", "all", {"...": "/users//"}),
        ("/users/7/posts", "version", {"x": "users", "y": "7", "...": "/posts"}),
        ("/files", "files", {"...": ""}),
        ("/files/", "files", {"...": "/"}),
        ("/files/a/b/", "files", {"...": "/a/b/"}),
        ("/files//a", "files", {"...": "//a"}),
        ("/files/index", "index", {}),
        ("/filesystem", "all", {"...": "/filesystem"}),
        ("/v1/x/deep", "version", {"x": "v1", "y": "x", "...": "/deep"}),
        ("/v1/x", "version", {"x": "v1", "y": "x", "...": ""}),
        ("", None, {}),
        ("*", None, {}),
    ],
)
def test_most_specific_wins(path: str, target: str | None, params: dict[str, str]) -> None:
    """Literal before named before wildcard from the left, and the parameters of the winner."""
    router = Router(
        [
            route("all", "/..."),
            route("version", "/:x/:y/..."),
            route("files", "/files/..."),
            route("user", "/users/:id"),
            route("root", "/"),
            route("hello", "/hello"),
            route("me", "/users/me"),
            route("index", "/files/index"),
            route("nope", "/users/:id/posts/:post/x"),
        ]
    )
    match = router.match("localhost", "GET", path)
    assert (target, params) == (match.target, dict(match.params))


def test_backtracking() -> None:
    """A literal that leads nowhere does not hide a named segment or a wildcard."""
    router = Router([route("deep", "/a/b/c"), route("named", "/:x/b/d"), route("rest", "/a/...")])
    assert "deep" == router.match("", "GET", "/a/b/c").target
    assert "rest" == router.match("", "GET", "/a/b/d").target
    assert "named" == router.match("", "GET", "/z/b/d").target
    tree = Router([route("one", "/a/:x/c"), route("two", "/:y/b/d")])
    assert {"y": "a"} == dict(tree.match("", "GET", "/a/b/d").params)
    assert MatchKind.NONE is tree.match("", "GET", "/a/b/e").kind


def test_methods() -> None:
    """HEAD goes through GET, explicit beats any, and a path without the method says what it allows."""
    router = Router(
        [
            route("get", "/a", "GET"),
            route("post", "/a", "POST", "PUT"),
            route("head", "/b", "HEAD"),
            route("any", "/b"),
            route("get b", "/b", "GET"),
            route("delete", "/:x", "DELETE"),
        ]
    )

    def target(method: str, path: str) -> str | None:
        return router.match("", method, path).target

    assert "get" == target("GET", "/a") == target("HEAD", "/a")
    assert "post" == target("PUT", "/a")
    assert "head" == target("HEAD", "/b")
    assert "any" == target("OPTIONS", "/b") == target("DELETE", "/b")
    assert "get b" == target("GET", "/b")
    assert "delete" == target("DELETE", "/a")
    refused = router.match("", "PATCH", "/a")
    assert (MatchKind.PARTIAL, None) == (refused.kind, refused.target)
    assert ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT") == refused.allow
    options = router.match("", "OPTIONS", "/z")
    assert (MatchKind.PARTIAL, ("DELETE", "OPTIONS")) == (options.kind, options.allow)
    nothing = router.match("", "GET", "/z/z")
    assert (MatchKind.NONE, None, ()) == (nothing.kind, nothing.target, nothing.allow)


def test_get_before_any_for_head() -> None:
    """HEAD is answered by the route that answers GET, not by a route for any method beside it."""
    router = Router([route("any", "/a"), route("get", "/a", "GET")])
    assert "get" == router.match("", "HEAD", "/a").target


def test_names_belong_to_their_method() -> None:
    """Two methods of one shape may name their segments differently."""
    router = Router([route("get", "/u/:id", "GET"), route("put", "/u/:name", "PUT")])
    assert {"id": "7"} == dict(router.match("", "GET", "/u/7").params)
    assert {"name": "7"} == dict(router.match("", "PUT", "/u/7").params)


def test_hosts() -> None:
    """A host's own routes come first, however unspecific; other routes are still found."""
    router = Router(
        [
            route("everywhere", "/hello"),
            route("shop", "/...", "GET", host="Shop.example"),
            route("post", "/post", "POST"),
        ]
    )

    def target(host: str, path: str, method: str = "GET") -> str | None:
        return router.match(host, method, path).target

    assert "shop" == target("shop.example", "/hello") == target("SHOP.example:8080", "/x")
    assert "everywhere" == target("other", "/hello") == target("", "/hello")
    assert None is target("other", "/x")
    assert "post" == target("shop.example", "/post", "POST")
    both = router.match("shop.example", "PUT", "/post")
    assert ("GET", "HEAD", "OPTIONS", "POST") == both.allow


def test_ten_thousand_routes() -> None:
    """Every one of many routes is found, exact or not."""
    router = Router(
        [route(f"exact {i}", f"/a{i}/b") for i in range(10_000)]
        + [route(f"named {i}", f"/a{i}/:x/c") for i in range(10_000)]
    )
    for i in (0, 1, 5000, 9999):
        assert f"exact {i}" == router.match("", "GET", f"/a{i}/b").target
        assert f"named {i}" == router.match("", "GET", f"/a{i}/b/c").target
    assert MatchKind.NONE is router.match("", "GET", "/a10000/b").kind


def test_long_paths_do_not_recurse() -> None:
    """The depth of a search is the pattern's, not the path's."""
    router = Router([route("rest", "/:a/..."), route("exact", "/a/b")])
    path = "/a" * 4000
    assert path[2:] == router.match("", "GET", path).params["..."]


def pattern_of(parts: list[str], end: str) -> str:
    """Numbers the names, which must differ within a pattern."""
    return (
        "".join(f"/{part}{place}" if part == ":x" else f"/{part}" for place, part in enumerate(parts)) + end
    )


_PATTERNS = st.builds(
    pattern_of, st.lists(st.sampled_from(["a", "b", ":x"]), max_size=3), st.sampled_from(["/", "/..."])
)
_METHODS = st.sampled_from([(), ("GET",), ("HEAD",), ("POST",), ("GET", "POST")])
_ROUTES = st.lists(
    st.builds(
        lambda pattern, methods, host: route("", pattern, *methods, host=host),
        _PATTERNS,
        _METHODS,
        st.sampled_from([None, "h"]),
    ),
    max_size=12,
)
_PATHS = st.lists(st.sampled_from(["a", "b", "c", ""]), max_size=5).map(lambda parts: "/" + "/".join(parts))


def rank(one: Route[str], path: str) -> tuple[int, ...] | None:
    """How unspecific a pattern is for a path, segment by segment; None when it does not match."""
    segments = path[1:].removesuffix("/").split("/") if path != "/" else []
    wanted = one.pattern.segments
    if len(segments) < len(wanted) or (len(segments) > len(wanted) and not one.pattern.rest):
        return None
    if any(s != w if w is not None else not s for s, w in zip(segments, wanted, strict=False)):
        return None
    return (*(int(w is None) for w in wanted), *([2] if one.pattern.rest else []))


def serves(one: Route[str], method: str) -> int | None:
    """How directly a route serves a method; None when it does not."""
    if method in one.methods:
        return 0
    if method == "HEAD" and "GET" in one.methods:
        return 1
    return None if one.methods else 2


def expected_route(routes: list[Route[str]], host: str, method: str, path: str) -> Route[str] | None:
    """The specification by brute force: rank all routes that match, take the first."""
    candidates = []
    for one in routes:
        place, directness = rank(one, path), serves(one, method)
        if place is not None and directness is not None and one.host in {None, host}:
            candidates.append(((one.host is None, place, directness), one))
    return min(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


@given(
    _ROUTES,
    st.sampled_from(["h", "i"]),
    st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    _PATHS,
)
def test_router_does_what_the_specification_says(
    routes: list[Route[str]], host: str, method: str, path: str
) -> None:
    """The tree finds the route that a search through all ranks first, in any order of routes."""
    clashing = {id(later) for _, later in conflicts(routes)}
    clean = [
        Route(pattern=one.pattern, methods=one.methods, host=one.host, target=str(index))
        for index, one in enumerate(routes)
        if id(one) not in clashing
    ]
    best = expected_route(clean, host, method, path)
    for order in (clean, clean[::-1]):
        match = Router(order).match(host, method, path)
        assert (best.target if best else None) == match.target
        assert (match.kind is MatchKind.FULL) == (best is not None)
        if best is None:
            reachable = [one for one in clean if one.host in {None, host} and rank(one, path) is not None]
            allow = {method for one in reachable for method in one.methods}
            allow |= ({"HEAD"} if "GET" in allow else set()) | ({"OPTIONS"} if allow else set())
            assert tuple(sorted(allow)) == match.allow


def test_conflicts_name_both() -> None:
    """Two routes that no request could tell apart are a pair, earlier first; others are none."""
    first = route("first", "/u/:id", "GET", "POST")
    second = route("second", "/u/:name/", "post", "GET", "POST")
    assert [(first, second)] == conflicts([first, second])
    anything, again = route("any", "/u/:id"), route("again", "/u/:x")
    assert [(anything, again)] == conflicts([anything, again, first])
    shop, store = route("shop", "/", host="Shop:80"), route("store", "/", host="shop")
    assert [(shop, store)] == conflicts([shop, store, route("everywhere", "/")])
    assert [] == conflicts(
        [
            route("1", "/a"),
            route("2", "/a/..."),
            route("3", "/:x"),
            route("4", "/a", "GET"),
            route("5", "/a", "HEAD"),
        ]
    )


def test_conflict_with_two_owners() -> None:
    """A route that claims what two others own is paired with each of them, once."""
    get, post, both = (
        route("get", "/", "GET", "PUT"),
        route("post", "/", "POST"),
        route("both", "/", "GET", "PUT", "POST"),
    )
    assert [(get, both), (post, both)] == conflicts([get, post, both])


@given(_ROUTES)
def test_router_refuses_exactly_the_conflicts(routes: list[Route[str]]) -> None:
    """A router is built if and only if no two routes conflict."""
    if conflicts(routes):
        with pytest.raises(ValueError, match="no request can tell apart"):
            Router(routes)
    else:
        Router(routes)
