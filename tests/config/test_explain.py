"""Explaining: what is found is shown on one short line, or only named."""

from __future__ import annotations

import tomllib

import pytest

from serverless_wasm.config.explain import kind_of, value_text


@pytest.mark.parametrize(
    ("written", "text", "kind"),
    [
        ('"a"', '"a"', "text"),
        ("'say \"é\"\t'", '"say \\"é\\"\\t"', "text"),
        ('"\\u001b\\u202e"', '"\\u001b\\u202e"', "text"),
        ('"redis://u:p/w@x@h:1"', '"redis://***@h:1"', "text"),
        ("true", "true", "a boolean"),
        ("-7", "-7", "an integer"),
        (f"0x{'f' * 9000}", "a very large integer", "an integer"),
        ("-inf", "-inf", "a float"),
        ("07:32:00", "07:32:00", "a date or time"),
        ("1979-05-27T07:32:00Z", "1979-05-27 07:32:00+00:00", "a date or time"),
        ('{ password = "x" }', "a table", "a table"),
        ('["password"]', "a list", "a list"),
    ],
)
def test_values(written: str, text: str, kind: str) -> None:
    """A scalar is shown as it could be written, a container and a monster are only named."""
    value = tomllib.loads(f"value = {written}")["value"]
    assert (value_text(value), kind_of(value)) == (text, kind)


def test_long_text() -> None:
    """A long text is cut, even where that cut is inside the user info."""
    assert len(value_text("x" * 100_000)) < 150
    assert "secret" not in value_text("x" * 90 + "://secret" * 20 + "@host")
