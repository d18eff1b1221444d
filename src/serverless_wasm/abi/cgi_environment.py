"""What a CGI program is told of its request: meta-variables and arguments (RFC 3875 section 4, WAGI).

A request and the route that it took come in; arguments and `NAME=value` pairs go out.
It must never hand on what authenticates a client, nor a field that a library takes for a setting (`Proxy`).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, unquote_to_bytes

from serverless_wasm.messages import Request

_KEPT_BACK = frozenset({b"authorization", b"connection", b"proxy", b"proxy-authorization"})
"""RFC 3875 section 4.1.18 lets a server withhold credentials; libraries would obey HTTP_PROXY."""
_PORTS = {"http": b"80", "https": b"443"}


def script_name(route: str) -> str:
    """The part of a route that is the application's own: `/files/...` is `/files`."""
    return route.removesuffix("/...")


def path_info(request: Request, route: str) -> str:
    """What a request's path has behind the script's name."""
    script = script_name(route)
    return request.path.removeprefix(script) if request.path.startswith(script) else ""


def arguments(request: Request, route: str, given: tuple[str, ...] | None) -> list[bytes]:
    """`argv`: the script's name, then what the operator wrote or, as WAGI has it, the words of the query."""
    first = (script_name(route) or "/").encode()
    if given is not None:
        return [first, *(word.encode() for word in given)]
    words = request.query.replace("&", " ").split(" ") if request.query else []
    return [first, *(unquote_to_bytes(word).replace(b"\0", b"") for word in words if word)]


def environment(request: Request, route: str, size: int) -> dict[bytes, bytes]:
    """The meta-variables of a request with a body of `size` bytes, by name."""
    info = path_info(request, route)
    address, _, _port = request.client.rpartition(":")
    server, port = _server(request)
    address = address.strip("[]")
    told = {
        "AUTH_TYPE": "",
        "CONTENT_LENGTH": str(size),
        "GATEWAY_INTERFACE": "CGI/1.1",
        "PATH_INFO": info,
        "PATH_TRANSLATED": info,
        "QUERY_STRING": request.query,
        "REMOTE_ADDR": address,
        "REMOTE_HOST": address,
        "REMOTE_USER": "",
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": script_name(route),
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_SOFTWARE": "serverless-wasm",
        "X_BASE_PATH": "/",
        "X_CLIENT_ADDR": request.client,
        "X_COMPONENT_ROUTE": script_name(route),
        "X_FULL_URL": full_url(request),
        "X_MATCHED_ROUTE": route,
        "X_RAW_COMPONENT_ROUTE": route,
        "X_RAW_PATH_INFO": quote(info, safe="/:@!$&'()*+,;=~"),
    }
    told |= {f"X_PATH_MATCH_{name.upper()}": value for name, value in request.params.items() if name != "..."}
    found = {name.encode(): value.encode("utf-8", "surrogateescape") for name, value in told.items()}
    found |= {b"SERVER_NAME": server, b"SERVER_PORT": port}
    found[b"CONTENT_TYPE"] = request.headers.get(b"content-type") or b""
    found |= dict(_fields(request))
    return {name: value for name, value in found.items() if b"\0" not in name + value}


def _fields(request: Request) -> Iterator[tuple[bytes, bytes]]:
    for name in dict.fromkeys(name for name, _ in request.headers):
        if name not in _KEPT_BACK:
            yield b"HTTP_" + name.upper().replace(b"-", b"_"), request.headers.get(name) or b""


def _server(request: Request) -> tuple[bytes, bytes]:
    """Name and port of the server, as the client wrote them."""
    written = request.headers.get(b"host") or request.host.encode()
    _, colon, port = written.rpartition(b":")
    is_port = bool(colon) and port.isdigit()
    return request.host.encode(), port if is_port else _PORTS.get(request.scheme, b"80")


def full_url(request: Request) -> str:
    """Scheme, host as the client wrote it, path and query."""
    written = (request.headers.get(b"host") or request.host.encode()).decode("latin-1")
    query = f"?{request.query}" if request.query else ""
    return f"{request.scheme}://{written}{quote(request.path)}{query}"
