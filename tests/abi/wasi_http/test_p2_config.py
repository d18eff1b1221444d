"""wasi:config over the variables of an application."""

from __future__ import annotations

from dataclasses import replace

import pytest

from abi.wasi_http.keyvalues import Offered, world_of
from applications import Host
from serverless_wasm.abi.wasi_http.config import CONFIG, ERROR
from serverless_wasm.abi.wasi_http.interface import Ok
from serverless_wasm.wasm.components.types import STRING, ListOf, Option, Result, TupleOf

PAIRS = ListOf(TupleOf((STRING, STRING)))


@pytest.fixture(params=["wasi:config/store", "wasi:config/runtime"])
def config(request: pytest.FixtureRequest) -> Offered:
    """The interface under each of its names."""
    return Offered(CONFIG, request.param)


def test_a_key_is_a_variable_of_the_application(host: Host, config: Offered) -> None:
    """A value, none for an unknown or empty key, and the form without errors has the same."""
    world = world_of(host, greeting="Grüße", empty="")
    with_errors, plain = Result(Option(STRING), ERROR), Option(STRING)

    for key, value in ("greeting", "Grüße"), ("empty", ""), ("none", None), ("", None), ("Greeting", None):
        assert config.call(world, "get", key, gives=with_errors) == Ok(value)
        assert config.call(world, "get", key, gives=plain) == value


def test_all_of_them_are_listed(host: Host, config: Offered) -> None:
    """Each pair, and nothing of the service's own environment."""
    world = world_of(host, b="2", a="1")

    assert config.call(world, "get-all", gives=Result(PAIRS, ERROR)) == Ok([("b", "2"), ("a", "1")])
    assert config.call(world, "get-all", gives=PAIRS) == [("b", "2"), ("a", "1")]
    assert config.call(world_of(host), "get-all", gives=PAIRS) == []


def test_what_is_no_text_is_shown_as_text(host: Host, config: Offered) -> None:
    """No byte of a variable can end the guest, whatever the operator wrote."""
    world = world_of(host)
    world.invocation.grants = replace(world.invocation.grants, variables={b"bytes": b"a\xffb"})

    assert config.call(world, "get", "bytes", gives=Option(STRING)) == "a\N{REPLACEMENT CHARACTER}b"


def test_versions_are_those_in_the_wild(config: Offered) -> None:
    """Drafts match exactly, so each is named."""
    assert set(config.interface.versions) == {"0.2.0-draft", "0.2.0-draft-2024-09-27", "0.2.0-rc.1"}
