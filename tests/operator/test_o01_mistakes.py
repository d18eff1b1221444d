"""O1: whatever is wrong with the configuration is told in a line each, all at once, soon; exit code 2."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from conditions import ended, start
from program import Folder
from serverless_wasm.cli.check import check
from serverless_wasm.config.document import MAX_FILE
from serverless_wasm.config.explain import MAX_PROBLEMS
from serverless_wasm.config.schema import NAMED, TABLES
from serverless_wasm.config.store_tables import StoreTable

SENTENCE = re.compile(
    r"(?P<file>\S+):(?P<line>\d+): (?P<key>.+?): found (?P<found>.+), expected (?P<expected>.+)"
)
KINDS = {
    "an empty text": '""',
    "a blank": '" "',
    "a long text": f'"{"x/" * 10_000}"',
    "a zero byte": '"\\u0000"',
    "hidden characters": '"a\\u202e\\u001b[2Jb"',
    "a boolean": "true",
    "a negative number": "-1",
    "a huge number": f"0x{'f' * 10_000}",
    "no number": "nan",
    "a date": "1979-05-27T07:32:00Z",
    "a list of wrong things": "[[], 1, {}]",
    "a table": "{ a = { b = 1 } }",
}
SECRETS = {*StoreTable.model_fields} - {"url", "endpoint", "anonymous"}
RIGHT = {
    "a blank": {"file_path", "function", "certificate", "key", "path", "url", "file", "default", *SECRETS},
    "an empty text": {"default"},
    "a long text": {"default"},
    "a zero byte": {"default"},
    "hidden characters": {"default"},
    "a boolean": {
        *("tmp", "write", "precise_clocks", "anonymous", "shared", "require_digest", "required", "secret")
    },
}
"""What is no mistake: a file or an export may have a strange name."""
REQUIRED = {
    place: {key for key, field in table.model_fields.items() if field.is_required()}
    for place, table in TABLES.items()
    if place
}


class Mistake(NamedTuple):
    """One line that the operator reads."""

    line: int
    key: str
    found: str
    expected: str


@pytest.fixture(scope="module")
def command() -> typer.Typer:
    """`check`, in this process."""
    app = typer.Typer()
    app.command()(check)
    return app


def header(place: tuple[str, ...]) -> str:
    """What stands before the keys of a table."""
    if place in NAMED:
        above, name = ("[[applications]]\n", '"/a"') if place[0] == "applications" else ("", "a")
        return f"{above}[{'.'.join(place)}.{name}]"
    if place[:1] == ("applications",):
        return "[[applications]]" if len(place) == 1 else f"[[applications]]\n[{'.'.join(place)}]"
    return f"[{'.'.join(place)}]" if place else ""


def mistakes(command: typer.Typer, path: Path) -> list[Mistake]:
    """What `check` says of a file that is not right; each line must be a whole sentence."""
    done = CliRunner().invoke(command, [str(path)])
    assert (2, "") == (done.exit_code, done.stdout), done.exception
    lines = done.stderr.splitlines()
    found = [SENTENCE.fullmatch(line) for line in lines]
    assert lines
    assert None not in found, lines
    assert all(match["file"] == str(path) and match[0].isprintable() for match in found if match)
    read = [Mistake(int(match["line"]), *match.group("key", "found", "expected")) for match in found if match]
    assert read == sorted(read, key=lambda mistake: mistake.line)
    return read


@pytest.mark.parametrize("place", TABLES, ids=lambda place: ".".join(place) or "top")
@pytest.mark.parametrize("kind", KINDS)
def test_matrix(command: typer.Typer, tmp_path: Path, place: tuple[str, ...], kind: str) -> None:
    """Every key of a table, all of them wrong in one way: each has its line, its key and what to write."""
    path = tmp_path / "config.toml"
    keys = [key for key in TABLES[place].model_fields if key not in RIGHT.get(kind, ())]
    lines = [header(place), *(f"{key} = {KINDS[kind]}" for key in keys)]
    path.write_text("\n".join(lines) + "\n")

    told = mistakes(command, path)

    first = lines[0].count("\n") + 2
    for line, key in enumerate(keys, first):
        assert any(mistake.line == line and key in mistake.key for mistake in told), key


@pytest.mark.parametrize("place", TABLES, ids=lambda place: ".".join(place) or "top")
def test_unknown_keys(command: typer.Typer, tmp_path: Path, place: tuple[str, ...]) -> None:
    """Each key with a letter too many is unknown, and the right one is suggested."""
    path = tmp_path / "config.toml"
    keys = [*TABLES[place].model_fields]
    path.write_text("\n".join([header(place), *(f"{key}x = 1" for key in keys)]))

    told = mistakes(command, path)

    prefix = "".join(f"{part}." for part in place).replace("applications.", "applications[0].")
    prefix += "" if place not in NAMED else '"/a".' if place[0] == "applications" else "a."
    suggested = {mistake.key: mistake.expected for mistake in told if mistake.found == "an unknown key"}
    assert {f"{prefix}{key}x" for key in keys} == set(suggested)
    assert all(key.rpartition(".")[2][:-1] in expected for key, expected in suggested.items())


@pytest.mark.parametrize("place", [place for place, keys in REQUIRED.items() if keys])
def test_missing_keys(command: typer.Typer, tmp_path: Path, place: tuple[str, ...]) -> None:
    """A table without a key that it needs is told so, on its own line, with an example."""
    path = tmp_path / "config.toml"
    path.write_text(f"\n\n{header(place)}\n")

    told = mistakes(command, path)

    line = 3 + header(place).count("\n")
    missing = {mistake.key.rpartition(".")[2] for mistake in told if mistake.line == line}
    assert missing == REQUIRED[place]


APPLICATION = '[[applications]]\nfile_path = "a.wasm"\nurl_path = "/a"\n'
TWICE = APPLICATION + APPLICATION
CORPUS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", r":1: applications: found nothing, expected at least one \[\[applications\]\] table"),
    "a byte order mark": (b"\xef\xbb\xbf", ":1: file: found a byte order mark, expected UTF-8 without"),
    "UTF-16": (APPLICATION.encode("utf-16"), ":1: file: found the byte 0xff, expected UTF-8 text"),
    "invalid UTF-8": (APPLICATION.encode() + b"'\xe9'", ":4: file: found the byte 0xe9, expected UTF-8 text"),
    "a zero byte": (b"a = 1\nb = \0", ":2: syntax: found .+, expected a value"),
    "a zero byte in text": (b"a = '\0'", ":1: syntax: found the character .+, expected no control character"),
    "carriage returns": (
        b"a = 1\rb = 2\r",
        ":1: syntax: found a carriage return alone, expected nothing more",
    ),
    "10 MB": (b"#" * 10_000_000, f":1: file: found more than {MAX_FILE} bytes, expected a file of at most"),
    "deep lists": (
        b"\na = " + b"[" * 500_000,
        ":2: syntax: found arrays or tables nested too deep, expected",
    ),
    "deep tables": (
        b"a = " + b"{a=" * 300_000,
        ":1: syntax: found arrays or tables nested too deep, expected",
    ),
    "deep keys": (b"a = 1\n" + b"a." * 500_000 + b"a = 1", ":2: syntax: found a key of a hundred parts"),
    "a duplicate key": (b"[server]\nslots = 1\nslots = 2", ":3: slots: found a key that has a value already"),
    "a duplicate table": (b"[limits]\n[server]\n[limits]", ":3: syntax: found the table 'limits' a second"),
    "one pair of brackets": (
        b"\n[applications]",
        ":2: applications: found a table, expected .+ two pairs of",
    ),
    "a duplicate route": (
        TWICE.encode(),
        ':6: .+url_path: found the route of application "a" on line 3, expec',
    ),
    "a duplicate name": (
        TWICE.replace('"/a"\n', '"/a"\nname = "a"\n').encode(),
        ":8: applications.1..name: found the name of the application on line 4, expected a name of its own",
    ),
    "a number of many digits": (
        b"a = 1\nb = " + b"9" * 900_000,
        ":2: syntax: found a number of thousands of",
    ),
    "JSON": (b'{"applications": []}', ":1: syntax: found '{' in column 1, expected a key"),
    "YAML": (
        b"applications:\n  - url_path: /a",
        ":1: syntax: found ':' in column 13, expected = and a value",
    ),
    "a module": (b"\0asm\1\0\0\0", ":1: syntax: found .+ in column 1, expected a key"),
    "a program": (b"\x7fELF\2\1\1\0" * 100 + b"\x90", ":1: file: found the byte 0x90, expected UTF-8 text"),
    "no quotes": (b"listen_address = a:80", ":1: listen_address: found 'a' in column 18, expected a value"),
    "no closing quotes": (b'\nlisten_address = "a', ":2: listen_address: found text that does not end"),
    "half a line": (b"listen_address", ":1: syntax: found the end of the file, expected = and a value"),
    "many keys": (b"".join(b"k%d=1\n" % i for i in range(90_000)), ":1: .+"),
    "many tables": (
        b"[[applications]]\n" * 20_000,
        ":1: applications.0..(file|url)_path: found nothing, exp",
    ),
    "too many tables": (
        b"[[applications]]\n" * 60_000,
        ":1: applications: found 60000 applications, expected at most 20000",
    ),
    "many items": (b"applications = [" + b"1," * 20_000 + b"]", ":1: applications.0.: found 1, expected"),
    "too many items": (
        b"[[applications]]\nallowed_outbound_hosts = [" + b"1," * 1_500_000 + b"]",
        ":1: file: found more than 300000 keys and items, expected a smaller file",
    ),
}


@pytest.mark.parametrize("name", CORPUS)
def test_corpus(command: typer.Typer, tmp_path: Path, name: str) -> None:
    """Each file that is no configuration is told the line and what to write instead."""
    content, sentence = CORPUS[name]
    path = tmp_path / "config.toml"
    path.write_bytes(content)

    told = mistakes(command, path)

    lines = [f":{line}: {key}: found {found}, expected {expected}" for line, key, found, expected in told]
    assert any(re.match(sentence, line) for line in lines), lines[:10]
    assert len(lines) <= MAX_PROBLEMS + 1


SAMPLE = (
    "a byte order mark",
    "10 MB",
    "deep lists",
    "deep keys",
    "a duplicate route",
    "many tables",
    "many items",
    "too many items",
)


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize("verb", ["serve", "check"])
def test_program(tmp_path: Path, verb: str, name: str) -> None:
    """The real program says the same and ends with 2, within 2 GiB and 30 seconds of processor time."""
    content, sentence = CORPUS[name]
    (tmp_path / "config.toml").write_bytes(content)
    under = ("prlimit", "--as=2147483648", "--cpu=30", "--")

    code, lines = ended(start(Folder(tmp_path), verb, "config.toml", under=under))

    assert code == 2
    assert re.match(f"config.toml{sentence}", lines[0]), lines[0]
    assert all(SENTENCE.fullmatch(line) for line in lines)
