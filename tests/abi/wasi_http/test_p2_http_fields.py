"""wasi:http/types, fields: what a guest may put into them, and what it finds there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abi.wasi_http.speaking import Speaker, asked
from serverless_wasm.abi.wasi_http.interface import Err, Ok
from serverless_wasm.errors import HostLimit

INVALID, FORBIDDEN, IMMUTABLE = (Err((name, None)) for name in ("invalid-syntax", "forbidden", "immutable"))
NINE = (
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "transfer-encoding", "upgrade", "host", "http2-settings",
)  # fmt: skip


@pytest.fixture
def guest() -> Speaker:
    """A guest with nothing."""
    return Speaker()


def test_new_fields_are_empty(guest: Speaker) -> None:
    """A constructor makes fields without any, which may be changed."""
    fields = guest("[constructor]fields")

    assert guest("[method]fields.entries", fields) == []
    assert guest("[method]fields.append", fields, "a", b"1") == Ok()


def test_a_list_keeps_order_case_and_duplicates(guest: Speaker) -> None:
    """What was given is what is found."""
    pairs = [("X-B", b"1"), ("a", b""), ("x-b", b"\x80 2")]

    fields = guest.fields(*pairs)

    assert guest("[method]fields.entries", fields) == pairs


def test_get_and_has_know_no_case(guest: Speaker) -> None:
    """Names are compared without case; an empty value is a value; what is missing is an empty list."""
    fields = guest.fields(("X-B", b"1"), ("a", b""), ("x-b", b"2"))

    assert guest("[method]fields.get", fields, "X-b") == [b"1", b"2"]
    assert guest("[method]fields.get", fields, "A") == [b""]
    assert guest("[method]fields.get", fields, "c") == []
    assert guest("[method]fields.get", fields, "no token") == []
    assert guest("[method]fields.has", fields, "A") is True
    assert guest("[method]fields.has", fields, "é") is False


def test_set_replaces_all_values(guest: Speaker) -> None:
    """Those that were there are gone; with no values at all the field is, too."""
    fields = guest.fields(("a", b"1"), ("b", b"2"), ("A", b"3"))

    assert guest("[method]fields.set", fields, "A", [b"4", b"5"]) == Ok()
    assert guest("[method]fields.entries", fields) == [("b", b"2"), ("A", b"4"), ("A", b"5")]

    assert guest("[method]fields.set", fields, "a", []) == Ok()
    assert guest("[method]fields.entries", fields) == [("b", b"2")]


def test_delete(guest: Speaker) -> None:
    """All values of a name go, and it is no mistake if there are none."""
    fields = guest.fields(("a", b"1"), ("b", b"2"), ("A", b"3"))

    assert guest("[method]fields.delete", fields, "a") == Ok()
    assert guest("[method]fields.delete", fields, "a") == Ok()
    assert guest("[method]fields.entries", fields) == [("b", b"2")]


def test_a_clone_is_its_own(guest: Speaker) -> None:
    """It may be changed even if what it was made of may not, which stays as it was."""
    guest = Speaker(asked(headers={"host": "x", "a": "1"}))
    headers = guest("[method]incoming-request.headers", guest.request)

    clone = guest("[method]fields.clone", headers)

    assert guest("[method]fields.append", clone, "b", b"2") == Ok()
    assert guest("[method]fields.entries", clone) == [("a", b"1"), ("b", b"2")]
    assert guest("[method]fields.entries", headers) == [("a", b"1")]


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\n", "\x00", "a\r\nb: c"])
def test_names_that_are_none(name: str, guest: Speaker) -> None:
    """What is no token is refused, whatever is done with it."""
    fields = guest("[constructor]fields")

    assert guest("[static]fields.from-list", [(name, b"")]) == INVALID
    assert guest("[method]fields.append", fields, name, b"") == INVALID
    assert guest("[method]fields.set", fields, name, [b""]) == INVALID
    assert guest("[method]fields.delete", fields, name) == INVALID


@given(st.binary(max_size=20))
def test_values(value: bytes) -> None:
    """A value is taken unless it has a control character other than a tab."""
    guest = Speaker()
    fields = guest("[constructor]fields")
    is_good = not any(byte == 127 or (byte < 32 and byte != 9) for byte in value)

    assert guest("[method]fields.append", fields, "a", value) == (Ok() if is_good else INVALID)
    assert guest("[method]fields.get", fields, "a") == ([value] if is_good else [])
    assert isinstance(guest("[static]fields.from-list", [("a", value)]), Ok if is_good else Err)
    assert guest("[method]fields.set", fields, "a", [b"", value]) == (Ok() if is_good else INVALID)


@pytest.mark.parametrize("name", NINE)
def test_forbidden_names(name: str, guest: Speaker) -> None:
    """What belongs to the connection is refused in any case, whatever is done with it."""
    fields = guest("[constructor]fields")

    for each in (name, name.upper()):
        assert guest("[static]fields.from-list", [(each, b"")]) == FORBIDDEN
        assert guest("[method]fields.append", fields, each, b"") == FORBIDDEN
        assert guest("[method]fields.set", fields, each, []) == FORBIDDEN
        assert guest("[method]fields.delete", fields, each) == FORBIDDEN


def test_what_the_host_gives_is_immutable(guest: Speaker) -> None:
    """Fields of messages cannot be changed, those of the guest's own messages neither."""
    response = guest("[constructor]outgoing-response", guest.fields(("a", b"1")))
    request = guest("[constructor]outgoing-request", guest.fields(("a", b"1")))

    for fields in (
        guest("[method]incoming-request.headers", guest.request),
        guest("[method]outgoing-response.headers", response),
        guest("[method]outgoing-request.headers", request),
    ):
        assert guest("[method]fields.append", fields, "b", b"") == IMMUTABLE
        assert guest("[method]fields.set", fields, "b", []) == IMMUTABLE
        assert guest("[method]fields.delete", fields, "b") == IMMUTABLE


def test_too_many_fields_end_the_guest() -> None:
    """The limits of responses hold for all fields that a guest makes."""
    guest = Speaker(response_headers=3)
    fields = guest.fields(("a", b""), ("a", b""), ("a", b""))

    for act in (
        lambda: guest("[method]fields.append", fields, "b", b""),
        lambda: guest("[method]fields.set", fields, "b", [b""]),
        lambda: guest.fields(*[("a", b"")] * 4),
    ):
        with pytest.raises(HostLimit, match="response_headers"):
            act()
    assert guest("[method]fields.set", fields, "a", [b"1"] * 3) == Ok()


def test_fields_that_are_too_large_end_the_guest() -> None:
    """Names and values count together."""
    guest = Speaker(response_header_bytes=10)
    fields = guest.fields(("abcde", b"12345"))

    with pytest.raises(HostLimit, match="response_header_bytes"):
        guest("[method]fields.append", fields, "b", b"")


def test_all_fields_together_are_bounded() -> None:
    """A guest cannot have the host keep more for it than a response may have; what it drops is free again."""
    guest = Speaker(response_body=100_000)

    def make() -> list[int]:
        return [guest.fields(("a", b"x" * 30_000)) for _ in range(3)]

    for handle in make():
        guest.drop(handle)
    make()
    with pytest.raises(HostLimit):
        guest.fields(("a", b"x" * 30_000))
