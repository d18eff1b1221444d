"""Files of values: each line arrives as it is written, and what is no assignment is told without its text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.config.assignments import MAX_LINES, MAX_VALUE, read_assignments, read_text, read_value
from serverless_wasm.errors import ConfigError

LINES = """\
# a comment
A=1
export B = two words # and a comment

C='$A ${A} \\n'
D="first\\nsecond
third"
E=
F
A=last
"""


def test_lines(tmp_path: Path) -> None:
    """Quotes, comments and several lines are dotenv's; nothing is expanded, and the last of a name counts."""
    path = tmp_path / ".env"
    path.write_text(LINES)

    assert {
        "A": "last",
        "B": "two words",
        "C": "$A ${A} \\n",
        "D": "first\nsecond\nthird",
        "E": "",
    } == read_assignments(path)


def test_lines_that_are_none(tmp_path: Path) -> None:
    """Each is told with its number, and with nothing of what is on it."""
    path = tmp_path / ".env"
    path.write_text("A=1\n\n\nhunter2 x\nB=2\n='hunter2'\nC=\"hunter2\n")

    with pytest.raises(ConfigError) as caught:
        read_assignments(path)

    assert [4, 6, 7] == [problem.line for problem in caught.value.problems]
    assert "hunter2" not in str(caught.value.problems)
    assert {str(path)} == {problem.file for problem in caught.value.problems}


def unreadable(folder: Path) -> dict[Path, str]:
    """Files that are none, and what is said of them."""
    large, strange = folder / "large", folder / "strange"
    large.write_bytes(b"#" * (MAX_LINES + 1))
    strange.write_bytes(b"A=hunter2\xff")
    os.mkfifo(folder / "pipe")
    return {
        folder / "gone": "No such file or directory",
        folder: "a directory or a device",
        folder / "pipe": "a directory or a device",
        large: "more than 256KiB",
        strange: "bytes that are not UTF-8",
        folder / "a\0b": "a path with a zero byte",
    }


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Each has its reason; nothing waits for a pipe's writer."""
    for path, found in unreadable(tmp_path).items():
        with pytest.raises(ConfigError) as caught:
            read_assignments(path)
        (problem,) = caught.value.problems
        assert (1, found) == (problem.line, problem.found)
        assert "hunter2" not in str(problem)


def test_one_value(tmp_path: Path) -> None:
    """One newline at the end is cut, whichever kind, and no more; a file beyond the limit is refused."""
    path = tmp_path / "secret"
    for text, value in {"a\n": "a", "a\r\n": "a", "a\n\n": "a\n", "a": "a", "": "", " a ": " a "}.items():
        path.write_bytes(text.encode())
        assert value == read_value(path)
    path.write_bytes(b"a" * MAX_VALUE)
    assert MAX_VALUE == len(read_value(path))
    path.write_bytes(b"a" * (MAX_VALUE + 1))
    with pytest.raises(ValueError, match="more than 64KiB"):
        read_text(path, MAX_VALUE)


@given(st.binary(max_size=200) | st.text(alphabet="AB='\"\\#\n\r export$", max_size=200).map(str.encode))
def test_anything(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Any bytes are assignments, or problems on lines of the file."""
    path = tmp_path_factory.getbasetemp() / "any.env"
    path.write_bytes(data)
    try:
        found = read_assignments(path)
    except ConfigError as error:
        last = len(data.decode("utf-8", "replace").splitlines()) + 1
        lines = [problem.line for problem in error.problems]
    else:
        last, lines = 0, []
        assert all(isinstance(value, str) for value in found.values())
    assert all(line in range(1, last + 1) for line in lines)
