"""Words with a grammar of their own: what is taken, how it is spelled then, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serverless_wasm.config import values

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:8080", ("::1", 8080)),
        ("[::]:65535", ("::", 65535)),
        ("[0:0::1]:1", ("::1", 1)),
        ("LocalHost:80", ("localhost", 80)),
        ("a-b.example_1.com:80", ("a-b.example_1.com", 80)),
    ],
)
def test_listen_address(text: str, address: tuple[str, int]) -> None:
    """An address is a host and a port; IPv6 stands in brackets."""
    assert values.listen_address(text) == address


@pytest.mark.parametrize(
    "value",
    [
        "",
        ":8080",
        "8080",
        8080,
        "localhost",
        "localhost:",
        "localhost:-1",
        "localhost:65536",
        "localhost:٣",
        "localhost:80 ",
        "local host:80",
        "localhost:80\n",
        "http://localhost:80",
        "::1:80",
        "[::1]",
        "[localhost]:80",
        "[127.0.0.1]:80",
        "[::1]x:80",
        "1.2.3:80",
        "256.0.0.1:80",
        "127.0.0.01:80",
        "-a:80",
        "a..b:80",
        "\u212aelvin:80",
        "a" * 254 + ":80",
        None,
        ["localhost:80"],
    ],
)
def test_bad_listen_address(value: object) -> None:
    """Whatever could not be bound, or read in two ways, is refused."""
    with pytest.raises(ValueError, match=r"^host:port such as"):
        values.listen_address(value)


def test_methods() -> None:
    """Methods are upper case, each once, in the order of writing."""
    assert values.methods("get") == ["GET"]
    assert values.methods(["post", "GET", "Post", "m-search"]) == ["POST", "GET", "M-SEARCH"]


@pytest.mark.parametrize("value", ["", "GE T", "GET,POST", "GÉT", [], ["GET", 1], [["GET"]], 1, {}, "G" * 65])
def test_bad_methods(value: object) -> None:
    """A method is a token of RFC 9110; a list of none is a mistake."""
    with pytest.raises(ValueError, match=r"^a method such as"):
        values.methods(value)


@pytest.mark.parametrize("value", ["*", "any", ["GET", "ALL"]])
def test_any_is_not_a_method(value: object) -> None:
    """Who writes "any" learns that the key is to be left out."""
    with pytest.raises(ValueError, match=r"^no method key at all"):
        values.methods(value)


@pytest.mark.parametrize(
    ("read", "text", "result"),
    [
        (values.host, "WWW.Example.com.", "www.example.com"),
        (values.host, "127.0.0.1", "127.0.0.1"),
        (values.host, "xn--bcher-kva.example", "xn--bcher-kva.example"),
        (values.url_path, "/users/:id/", "/users/:id/"),
        (values.outbound_host, "tcp://127.0.0.1:6379", "tcp://127.0.0.1:6379"),
        (values.file_path, "./a b/é.wasm", "./a b/é.wasm"),
        (values.function, "_start", "_start"),
        (values.name, "a-b_1", "a-b_1"),
    ],
)
def test_words(read: Callable[[str], str], text: str, result: str) -> None:
    """What is right is taken, in its one spelling."""
    assert read(text) == result


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (
            values.host,
            ["", "a:80", "http://a", "a/b", "*.a", "bücher.example", "a b", "[::1]", "a..b", "\u212a"],
        ),
        (values.url_path, ["", "greet", "/x//y"]),
        (values.outbound_host, ["", "10.0.0.1:1", "tcp://"]),
        (values.file_path, ["", "s3://bucket/a.wasm", "https://a/b.wasm", "a\0b", "a\nb", "a" * 4097]),
        (values.function, ["", "a\0", "a" * 257]),
        (values.name, ["", "Hello", "-a", "a b", "é", "a" * 65, "a\n"]),
    ],
)
def test_bad_words(read: Callable[[str], str], texts: list[str]) -> None:
    """What is wrong is refused, saying what to write and not repeating the value."""
    for text in texts:
        with pytest.raises(ValueError, match=r"\w{3}") as caught:
            read(text)
        assert len(text) < 4 or text not in str(caught.value)
