"""Reading: whatever is wrong with a file itself is a ConfigError with a line, and it takes no time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.config.document import MAX_APPLICATIONS, MAX_FILE, MAX_VALUES, read_document
from serverless_wasm.errors import ConfigError, Problem


def problem_of(path: Path) -> Problem:
    with pytest.raises(ConfigError) as caught:
        read_document("the.toml", path)
    [problem] = caught.value.problems
    assert problem.file == "the.toml"
    assert problem.expected
    return problem


def test_a_file(tmp_path: Path) -> None:
    """The text and the tables of a file come back together."""
    path = tmp_path / "a.toml"
    path.write_bytes("é = 1".replace("é", '"é"').encode())
    assert read_document("a.toml", path) == ('"é" = 1', {"é": 1})


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        (b"\xef\xbb\xbfa = 1", 1, "byte order mark"),
        (b"\xff\xfea\0", 1, "0xff"),
        (b"a = 1\nb = '\xff'", 2, "0xff"),
        (b"a = 1\n\xc3", 2, "0xc3"),
        (b"a = 1\nb = \0", 2, ""),
        (b"a = 1\nb = '\0'", 2, ""),
        (b"a = 1\n\nb", 3, ""),
        (b"a = 1\na = 2", 2, ""),
        (b"[a]\n[a]", 2, ""),
        (b"a = [1,\n2", 2, ""),
        (b"a = '''x\ny\n\n", 2, ""),
        (b"a = 2020-99-99", 1, ""),
        (b"b = 1\na = " + b"1" * 5000, 2, "thousands of digits"),
        (b"b = 1\na = " + b"[" * 9000, 2, "nested too deep"),
        (b"b = 1\na = " + b"{a = " * 9000, 2, "nested too deep"),
        (b"b = 1\n" + b"a ." * 40_000 + b"a = 1", 2, "a hundred parts"),
        (b"b = 1\n[" + b'\'a\' . "\\"".' * 400 + b"a]", 2, "a hundred parts"),
        (b"#" * (MAX_FILE + 1), 1, "more than"),
    ],
    ids=range(18),
)
def test_broken_files(tmp_path: Path, content: bytes, line: int, found: str) -> None:
    """A file that is not TOML in UTF-8, or not meant to be read, says where and why.

    Where no reason is given here it is tomllib's, which differs between versions of Python.
    """
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    problem = problem_of(path)
    assert (problem.line, found in problem.found) == (line, True), problem


@pytest.mark.parametrize(
    "text",
    [
        f"a = 'x.{'a.' * 200}a'",
        f"a = ['{'a.' * 200}a', '{'a.' * 200}a']",
        f"a = {{ b = 'x://{'a.' * 200}a' }}",
        f"# {'a.' * 200}a",
        f"{'a.' * 98}a = 1",
    ],
)
def test_values_with_many_dots(tmp_path: Path, text: str) -> None:
    """Only a key is refused for its many parts: a value or a comment may have as many dots as it likes."""
    path = tmp_path / "a.toml"
    path.write_text(text)
    assert read_document("a.toml", path)[0] == text


def test_the_largest_file(tmp_path: Path) -> None:
    """A file of exactly the largest size is read."""
    path = tmp_path / "a.toml"
    path.write_bytes(b"a=1\n" + b"#" * (MAX_FILE - 4))
    assert read_document("a.toml", path)[1] == {"a": 1}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = [{items}]", "keys and items"),
        ("[[applications]]\nallowed_outbound_hosts = [{items}]", "keys and items"),
        ("x = {{ y = [[{items}]] }}", "keys and items"),
        ("applications = [{applications}]", f"{MAX_APPLICATIONS + 1} applications"),
    ],
)
def test_more_than_can_be_checked_soon(tmp_path: Path, text: str, found: str) -> None:
    """Refused before every item becomes a mistake with its line: that takes a hundred times its memory."""
    path = tmp_path / "a.toml"
    path.write_text(text.format(items="1," * MAX_VALUES, applications="1," * (MAX_APPLICATIONS + 1)))

    problem = problem_of(path)

    assert found in problem.found


def test_as_much_as_is_allowed(tmp_path: Path) -> None:
    """As many applications as there may be, and as many keys and items."""
    path = tmp_path / "a.toml"
    rest = MAX_VALUES - 2 - MAX_APPLICATIONS
    path.write_text(f"applications = [{'1,' * MAX_APPLICATIONS}]\nx = [{'1,' * rest}]")

    _, document = read_document("a.toml", path)

    assert (MAX_APPLICATIONS, rest) == (len(document["applications"]), len(document["x"]))


def test_no_file(tmp_path: Path) -> None:
    """A missing file, a directory, a pipe, a loop and an impossible path are refused without waiting."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("missing", ".", "pipe", "loop", "a" * 300, "a\0b", "pipe/a"):
        assert problem_of(tmp_path / name).line == 1
    assert problem_of(Path("/dev/zero")).found == "a directory or a device"
    assert problem_of(tmp_path / "missing").found == "No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(tmp_path: Path) -> None:
    """A file without permission to read is refused."""
    path = tmp_path / "a.toml"
    path.touch(mode=0)
    assert problem_of(path).found == "Permission denied"


@given(st.binary(max_size=60))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Any file at all gives tables, or one problem with a line."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    try:
        read_document("any.toml", path)
    except ConfigError as error:
        [problem] = error.problems
    else:
        return
    assert problem.line in range(1, content.count(b"\n") + 2)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file of Linux that cannot be read")
def test_file_that_fails_to_read() -> None:
    """A file that opens and then fails is refused, for root as well."""
    assert problem_of(Path("/proc/self/mem")).found == "Input/output error"
