from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import urlsplit

from hypothesis import assume, given
from hypothesis import strategies as st

from serverless_wasm.cli.urls import commands
from serverless_wasm.config.configuration import ApplicationConfig
from serverless_wasm.limits import Limits
from serverless_wasm.routing import Pattern, Route, Router, normalise


def application(url_path: str, methods: tuple[str, ...] = (), host: str | None = None) -> ApplicationConfig:
    """An application of which only the route matters."""
    return ApplicationConfig(
        name="a",
        file_path=Path("/a.wasm"),
        methods=methods,
        url_path=url_path,
        host=host,
        function="handle",
        env={},
        allowed_outbound_hosts=(),
        limits=Limits(),
        abi=None,
        line=1,
    )


def test_commands() -> None:
    """A command names method and host where the route asks for them, and an address that can be reached."""
    applications = [
        application("/hello", ("GET", "POST")),
        application("/users/:id/...", ("PUT",), "www.example.com"),
        application("/"),
    ]

    assert list(commands(applications, "0.0.0.0:80")) == [
        "curl http://127.0.0.1:80/hello",
        "curl -X PUT -H 'Host: www.example.com' http://127.0.0.1:80/users/1",
        "curl http://127.0.0.1:80/",
    ]
    assert list(commands(applications[:1], "[::]:80")) == ["curl 'http://[::1]:80/hello'"]
    assert len(list(commands(applications * 100, "127.0.0.1:80"))) == 20


@given(st.lists(st.text(max_size=8) | st.sampled_from([":id", "..."]), max_size=4))
def test_shell_and_route_agree(segments: list[str]) -> None:
    """Whatever the route's path is, a shell takes the command as it is meant, and the route matches."""
    url_path = "/" + "/".join(segments)
    try:
        pattern = Pattern.parse(url_path)
        url_path.encode()
    except ValueError:
        assume(False)

    (command,) = commands([application(url_path)], "127.0.0.1:80")

    curl, url = shlex.split(command)
    assert (curl, urlsplit(url).query) == ("curl", "")
    router = Router([Route(pattern=pattern, target=1)])
    assert router.match("127.0.0.1", "GET", normalise(urlsplit(url).path.encode())).target == 1
