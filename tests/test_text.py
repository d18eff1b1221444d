"""Strangers' text, made safe."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.text import DETAIL_LIMIT, printable


@given(st.one_of(st.text(), st.binary()), st.integers(1, 600))
def test_anything_becomes_one_visible_line(text: str | bytes, limit: int) -> None:
    """No control, format or separator character survives, and the length is bounded."""
    shown = printable(text, limit)

    assert shown == "" or shown.isprintable()
    assert len(shown) <= limit + 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a\nb\r", r"a\nb\r"),
        ("\x1b[2J", r"\x1b[2J"),
        ("line\u2028sep", r"line\u2028sep"),
        ("\u202eevil", r"\u202eevil"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("é ☃", "é ☃"),
        ("wide\u3000space\xa0", r"wide\u3000space\xa0"),
    ],
)
def test_what_is_hidden_is_escaped(text: str | bytes, expected: str) -> None:
    """Visible text stays as it is; the rest is written as Python would."""
    assert expected == printable(text)


def test_long_text_is_cut_and_counted() -> None:
    """The reader learns how much is missing."""
    assert "x" * DETAIL_LIMIT + "… (88 more)" == printable("x" * 600)
