"""What is not TOML is told in words: the line, our key, one character, and what to write."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.config.syntax import explain_syntax


def explained(text: str) -> str:
    """The explanation of a text that tomllib refuses."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the root of tomllib's own
        tomllib.loads(text)
    line, key, found, expected = explain_syntax(text, str(caught.value))
    return f"{line}: {key}: found {found}, expected {expected}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[limits]\ntimeout = 10s", "2: timeout: found 's' in column 13, expected nothing more on this line"),
        ("[server]\nslots = 1,000", "2: slots: found ',' in column 10, expected nothing more on this line"),
        ("listen_address = a:80\n", "1: listen_address: found 'a' in column 18, expected a value: text in q"),
        ("method =\n", "1: method: found the end of the line, expected a value: text in quotes"),
        ("method = ", "1: method: found the end of the file, expected a value: text in quotes"),
        ("listen_address: a", "1: syntax: found ':' in column 15, expected = and a value after the key"),
        ('{"a": 1}', "1: syntax: found '{' in column 1, expected a key, a table in [ ] or a comment after #"),
        ("\n[limits", "2: syntax: found the end of the file, expected ']' at the end of a table"),
        ("[limits]\n[limits]", "2: syntax: found the table 'limits' a second time, expected each table once"),
        ("a = 1\r\na = 2\r\n", "2: syntax: found a key that has a value already, expected each key once"),
        ("a = {b=1,b=1}", "1: syntax: found a key that has a value already, expected each key once"),
        ("a = {}\na.b = 1", "2: syntax: found more of a table that is complete, expected all its keys in"),
        ("a = {\nb = 1 }", "1: syntax: found the end of the line, expected a key of letters"),
        ("a = [1 2]", "1: syntax: found '2' in column 8, expected a comma or ] after the item of a list"),
        ("a = {b=1\n}", "1: syntax: found the end of the line, expected a comma or } on the line"),
        ('name = "a\n', "1: name: found text that does not end on its line, expected the quotes"),
        ('a = """\nx', "2: syntax: found text that does not end, expected the quotes"),
        ('a = "\\w"', r"1: syntax: found a backslash, expected \\ for a backslash, or '...' around the text"),
        ("a = '\0'", r"1: syntax: found the character '\x00', expected no control character"),
        ("a = 1\rb = 1", "1: syntax: found a carriage return alone, expected nothing more on this line"),
        (f"[server]\nslots = {'1' * 5000}", "2: slots: found a number of thousands of digits, expected a"),
    ],
)
def test_words(text: str, expected: str) -> None:
    """The mistakes that people make are told without the words of a parser."""
    assert expected in explained(text)


@pytest.mark.parametrize(
    "text",
    [
        "env = { TOKEN = hunter2 }",
        "env.TOKEN = hunter2",
        'TOKEN = "hunter2" hunter2',
        'env = { TOKEN = """\nhunter2=',
        'env = { TOKEN = """\nhunter2=""" hunter2',
        '"hunter2" = 1\n"hunter2" = 2 x',
        "hunter2 = 1 hunter2",
    ],
)
def test_secrets(text: str) -> None:
    """Of a line nothing is shown but one character and a key of ours."""
    assert "unter" not in explained(text)


_PIECES = st.sampled_from(
    ["a", "=", " ", "\n", "\r", '"', "'", "[", "]", "{", "}", ",", ".", "\\", "\0", "1", "-"]
)


@given(st.lists(_PIECES | st.text(max_size=2), max_size=30).map("".join))
def test_any_text(text: str) -> None:
    """Whatever tomllib refuses has a line that is there, and words."""
    try:
        tomllib.loads(text)
    except ValueError as error:
        line, key, found, expected = explain_syntax(text, str(error))
        assert line in range(1, text.count("\n") + 2)
        assert key
        assert found
        assert expected
