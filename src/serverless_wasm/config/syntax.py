"""What is wrong with a text that is not TOML, in the operator's words.

The text and what tomllib says of it come in; a line, a key, what was found and what to write go out.
It must never show more of the text than one character and a key of ours: the rest may be secret.
"""

from __future__ import annotations

import re

from serverless_wasm.config.schema import TABLES

_POSITION = re.compile(r"\s*\(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)")
_LONG_NUMBER = re.compile(r"[0-9_]{4300}")
_KEY = re.compile(r"[ \t]*([A-Za-z_.]{1,64})[ \t]*=")
_HERE = "{here}"  # stands for what is at the position
_ONCE = "each key once"
_TABLES_ONCE = "each table once; those of a list have two pairs of brackets"
_VALUE = "a value: text in quotes, a number, true, false, a list in [ ] or a table in { }"
_WORDS = tuple(
    (re.compile(pattern, re.DOTALL), found, expected)
    for pattern, found, expected in (
        (r"Expected newline or end of document after a statement", _HERE, "nothing more on this line"),
        (r"Expected '=' after a key.*", _HERE, "= and a value after the key"),
        (r"Expected (['\"].*)", _HERE, r"\1"),
        (r"Invalid statement", _HERE, "a key, a table in [ ] or a comment after #"),
        (r"Invalid value", _HERE, _VALUE),
        (r"Invalid initial character for a key part", _HERE, "a key of letters, digits, _ and -"),
        (r"Cannot declare \((.*?),?\) twice", r"the table \1 a second time", _TABLES_ONCE),
        (r"Cannot overwrite a value", "a key that has a value already", _ONCE),
        (r"Duplicate inline table key .*", "a key that has a value already", _ONCE),
        (r"Cannot (?:mutate|redefine) .*", "more of a table that is complete", "all its keys in one place"),
        (r"Unclosed array", _HERE, "a comma or ] after the item of a list"),
        (r"Unclosed inline table", _HERE, "a comma or } on the line on which the table begins"),
        (r"Unterminated string", "text that does not end", "the quotes that it begins with at its end"),
        (r"Unescaped '\\' in a string", "a backslash", r"\\\\ for a backslash, or '...' around the text"),
        (r"Illegal character '\\n'", "text that does not end on its line", "the quotes that it begins with"),
        (r"(?:Illegal|Found invalid) character (.*)", r"the character \1", "no control character"),
    )
)
"""tomllib's words and ours; what is not listed here is shown as it is."""


def explain_syntax(text: str, message: str) -> tuple[int, str, str, str]:
    """Line, key, what was found and what was expected, from tomllib's message."""
    position = _POSITION.search(message)
    if position is None:  # int() alone refuses without a position: CPython's limit of 4,300 digits
        place = _LONG_NUMBER.search(text)
        line = line_of(text, place.start() if place else 0)
        return line, _key(text, line), "a number of thousands of digits", "a smaller number"
    line = int(position[1]) if position[1] else line_of(text, len(text.rstrip("\n")))
    found, expected = _words(message[: position.start()])
    here = _character(text, line, int(position[2])) if position[1] else "the end of the file"
    return line, _key(text, line), found.replace(_HERE, here), expected


def _words(message: str) -> tuple[str, str]:
    for pattern, found, expected in _WORDS:
        if match := pattern.fullmatch(message):
            return match.expand(found).replace("', '", "."), match.expand(
                expected
            )  # a tuple's repr: 'a', 'b'
    return message, "TOML 1.0, see toml.io"


def _line_text(text: str, line: int) -> str:
    return text.split("\n", line)[line - 1]


def _character(text: str, line: int, column: int) -> str:
    rest = _line_text(text, line)[column - 1 :]
    if rest in {"", "\r"}:
        return "the end of the line"
    return "a carriage return alone" if rest[0] == "\r" else f"'{rest[0]}' in column {column}"


def _key(text: str, line: int) -> str:
    """The key that the line begins with, if it is one of ours: what is inside a text is not shown."""
    match = _KEY.match(_line_text(text, line))
    if match and any(match[1].rpartition(".")[2] in table.model_fields for table in TABLES.values()):
        return match[1]
    return "syntax"


def line_of(text: str, offset: int) -> int:
    """The line on which a character stands."""
    return text.count("\n", 0, offset) + 1
