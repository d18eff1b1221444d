"""Lines: every key of a file that tomllib reads is found where it stands."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.config.locate import KeyPath, key_text, locate

FILE = '''\
# a comment
listen_address = "x"

[server] # another
drain = """
1
"""
limits . "a.b" . 'c' = [
  1, # one
  [2,
   3], { x = 1, y.z = [
     4] },
]

[[applications]]
env = { "/env/backend" = "a", 'b c' = "d", "\\u0041" = 1 }
limits.memory = 1
limits.timeout = 2

[applications.more.deep]
x = 1

[[applications]]
name = "é"
[[applications.sub]]
[[applications.sub]]
a = 1
[applications.sub.table]
b = 1
[applications.limits]
memory = 1

[[applications]]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("listen_address",), 2),
        (("server",), 4),
        (("server", "drain"), 5),
        (("server", "limits"), 8),
        (("server", "limits", "a.b", "c"), 8),
        (("server", "limits", "a.b", "c", 0), 9),
        (("server", "limits", "a.b", "c", 1), 10),
        (("server", "limits", "a.b", "c", 1, 1), 11),
        (("server", "limits", "a.b", "c", 2, "y", "z"), 11),
        (("server", "limits", "a.b", "c", 2, "y", "z", 0), 12),
        (("applications",), 15),
        (("applications", 0), 15),
        (("applications", 0, "env", "/env/backend"), 16),
        (("applications", 0, "env", "b c"), 16),
        (("applications", 0, "env", "A"), 16),
        (("applications", 0, "limits"), 17),
        (("applications", 0, "limits", "timeout"), 18),
        (("applications", 0, "more"), 20),
        (("applications", 0, "more", "deep", "x"), 21),
        (("applications", 1), 23),
        (("applications", 1, "name"), 24),
        (("applications", 1, "sub", 0), 25),
        (("applications", 1, "sub", 1), 26),
        (("applications", 1, "sub", 1, "a"), 27),
        (("applications", 1, "sub", 1, "table", "b"), 29),
        (("applications", 1, "limits", "memory"), 31),
        (("applications", 2), 33),
        # What is missing is on the line of the table that misses it.
        (("applications", 0, "file_path"), 15),
        (("applications", 1, "limits", "timeout"), 30),
        (("applications", 2, "url_path"), 33),
        (("nothing",), 1),
        ((), 1),
    ],
)
def test_lines(path: KeyPath, line: int) -> None:
    """Headers, dotted and quoted keys, inline tables and arrays lead to their own line."""
    tomllib.loads(FILE)
    assert locate("f", FILE).line(path) == line


def test_windows_lines() -> None:
    """A file with carriage returns has the same lines."""
    text = FILE.replace("\n", "\r\n")
    tomllib.loads(text)
    assert locate("f", text).line(("applications", 1, "sub", 1, "a")) == 27


def test_table_before_its_parent() -> None:
    """A table's own header counts, not that of a table inside it which came first."""
    source = locate("f", "[a.b]\nx = 1\n[a]\ny = 1\n")
    assert (source.line(("a",)), source.line(("a", "b")), source.line(("a", "z"))) == (3, 1, 3)


def test_depth_is_bounded() -> None:
    """Nesting beyond the schema's is on the line of what is around it."""
    deep = "x = 1\ny = " + "[\n" * 300 + "]" * 300
    assert locate("f", deep).line(("y", *[0] * 299)) == 9
    assert locate("f", "[" + ".".join("a" * 50) + "]\nb = 1").line(("a",) * 50) == 1


@given(st.text(st.sampled_from("a.=[]{}\"'\\#,1\n é\0"), max_size=30))
def test_broken_files_do_not_fail(text: str) -> None:
    """A text that the other grammar does not know costs the lines, never an exception."""
    assert locate("f", text).line(("a",)) >= 1


def test_key_text() -> None:
    """A path reads as an operator would write it, on one line."""
    assert key_text(("applications", 2, "limits", "memory")) == "applications[2].limits.memory"
    assert key_text(("env", "/env/backend", "a\n\x1b")) == 'env."/env/backend"."a\\n\\u001b"'
    assert len(key_text(("x" * 100_000,))) < 100


_KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), st.text(st.characters(codec="utf-8"), max_size=8)
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.integers(-5, 5) | st.booleans() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=6,
)
_TABLES = st.dictionaries(_KEYS, _VALUES, max_size=4)


def written(value: object) -> str:
    """A value as TOML; JSON's strings are TOML's, but for the escape of DEL."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{written(key)} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@given(_TABLES, st.lists(_TABLES, max_size=3))
def test_every_key_has_its_line(top: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    """For any keys and values, each key is on the line on which it was written."""
    lines, expected = [], {}
    for path, table in [((), top), *(((("list", index)), entry) for index, entry in enumerate(entries))]:
        if path:
            lines.append("[[list]]")
            expected[path] = len(lines)
        for key, value in table.items():
            if path or key != "list":
                lines.append(f"{written(key)} = {written(value)}")
                expected[*path, key] = len(lines)
    text = "\n".join(lines)
    tomllib.loads(text)
    source = locate("f", text)
    assert {path: source.lines[path] for path in expected} == expected
