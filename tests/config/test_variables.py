"""Variables: each value from the first place that has one, and every mistake without a value in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from serverless_wasm.config.configuration import Configuration
from serverless_wasm.config.load import load
from serverless_wasm.errors import ConfigError, Problem

APPLICATION = """
[[applications]]
file_path = "a.wasm"
url_path = "/a"
"""
PREFIX = "SERVERLESS_WASM_VARIABLE_"


def read(folder: Path, text: str, given: Mapping[str, str] | None = None) -> Configuration:
    """The configuration that a text makes."""
    path = folder / "config.toml"
    path.write_text(text)
    return load(path, given or {})


def problems(folder: Path, text: str, given: Mapping[str, str] | None = None) -> dict[str, Problem]:
    """The problems of a text, by their keys; each key once."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text, given)
    found = {problem.key: problem for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    assert "hunter2" not in str(caught.value.problems)
    return found


def value(folder: Path, table: str, given: Mapping[str, str] | None = None) -> str:
    """What a guest reads for a variable `api_key` with this table."""
    text = f'[variables]\napi_key = {table}\n{APPLICATION}env = {{ a = "<{{{{ api_key }}}}>" }}\n'
    return read(folder, text, given).applications[0].env["a"].removeprefix("<").removesuffix(">")


def test_the_first_place_that_has_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given, the environment, .env, the file, the default: in this order, and empty is a value."""
    table = '{ secret = true, file = "secret", default = "from the default" }'
    assert "from the default" == value(tmp_path, table)
    (tmp_path / "secret").write_text("from the file\n")
    assert "from the file" == value(tmp_path, table)
    (tmp_path / ".env").write_text(f"OTHER=1\n{PREFIX}API_KEY='from .env'\n{PREFIX}UNKNOWN=1\napi_key=no\n")
    assert "from .env" == value(tmp_path, table)
    monkeypatch.setenv(f"{PREFIX}API_KEY", "from the environment")
    monkeypatch.setenv(f"{PREFIX}UNKNOWN", "1")
    assert "from the environment" == value(tmp_path, table)
    assert "given" == value(tmp_path, table, {"api_key": "given"})
    assert "" == value(tmp_path, table, {"api_key": ""})


def test_where_values_were_looked_for(tmp_path: Path) -> None:
    """The configuration names the files, also those that are not there; without a table there are none."""
    text = '[variables]\na = { file = "b", default = "" }\nc = { default = "d" }\n' + APPLICATION

    assert (tmp_path / ".env", tmp_path / "b") == read(tmp_path, text).variable_files
    (tmp_path / ".env").write_text("this is = 'not read")
    assert () == read(tmp_path, APPLICATION).variable_files


def test_no_value(tmp_path: Path) -> None:
    """Whoever lacks a value is told every place where it can be written, and only once."""
    text = '[variables]\napi_key = { required = true, secret = true }\nb = { file = "/gone/b" }\n'
    found = problems(
        tmp_path, text + APPLICATION + 'env = { a = "{{ api_key }}" }\nlimits.memory = "{{ b }}"'
    )

    assert {"variables.api_key", "variables.b"} == found.keys()
    first = found["variables.api_key"]
    assert (2, "no value") == (first.line, first.found)
    assert (
        f"--variable api_key=VALUE, {PREFIX}API_KEY in the environment or in .env beside this file, "
        "a file with the key file, or a default"
    ) == first.expected
    assert "the file /gone/b, or a default" in found["variables.b"].expected


MISTAKES = {
    "[variables]\nApi = { default = 'hunter2' }": ("variables.Api", "at most 64, a letter first"),
    "[variables]\na = 'hunter2'": ("variables.a", "tables such as api_key ="),
    "[variables]\na = { default = 7 }": ("variables.a.default", "a text in quotes"),
    "[variables]\na = { default = 'hunter2', required = true }": ("variables.a.default", "no default"),
    "[variables]\na = { defalt = 'hunter2' }": ("variables.a.defalt", 'did you mean "default"'),
    "[variables]\na = { file = 's3://b' , default = 'hunter2' }": ("variables.a.file", "the path of a file"),
    "[variables]\na = { file = '.' }": ("variables.a.file", "a readable file"),
    "variables = 'hunter2'": ("variables", "tables such as api_key ="),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_in_the_table(tmp_path: Path, text: str) -> None:
    """Each names its key and what to write, and shows no value; templates of it are no second mistake."""
    key, expected = MISTAKES[text]
    body = "" if "Api" in text or text.startswith("variables") else 'host = "{{ a }}"\n'

    found = problems(tmp_path, f"{text}\n{APPLICATION}{body}")

    assert [key] == [*found]
    assert expected in found[key].expected


def test_a_value_for_nobody(tmp_path: Path) -> None:
    """On the command line it is a mistake, with the nearest name there is."""
    text = '[variables]\ngreeting = { default = "a" }\n' + APPLICATION

    found = problems(tmp_path, text, {"greting": "hunter2", "x": "hunter2"})

    assert 'did you mean "greeting"?' in found["variables.greting"].expected
    assert "one of greeting" == found["variables.x"].expected
    assert (
        "a [variables] table that has it"
        == problems(tmp_path, APPLICATION, {"x": ""})["variables.x"].expected
    )


def test_bytes_that_are_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guest is given UTF-8, so what is none is refused wherever it comes from."""
    text = "[variables]\na = {}\n" + APPLICATION
    monkeypatch.setenv(f"{PREFIX}A", "hunter2\udcff")
    assert "a value of bytes that are not UTF-8" == problems(tmp_path, text)["variables.a"].found
    assert "UTF-8 text" == problems(tmp_path, text, {"a": "\udcff"})["variables.a"].expected


def test_mistakes_in_dotenv(tmp_path: Path) -> None:
    """They are told with the file in which they are, beside those of the configuration."""
    (tmp_path / ".env").write_text("A=1\nhunter2 hunter2\n")

    found = problems(tmp_path, "[variables]\na = {}\n" + APPLICATION)

    assert {"file", "variables.a"} == found.keys()
    assert (str(tmp_path / ".env"), 2) == (found["file"].file, found["file"].line)


def test_many_variables(tmp_path: Path) -> None:
    """A thousand are read, and one more is a mistake."""
    table = "[variables]\n" + "".join(f"a{number} = {{ default = '{number}' }}\n" for number in range(1000))
    rest = APPLICATION + 'env = { a = "{{ a999 }}" }\n'
    assert {"a": "999"} == read(tmp_path, table + rest).applications[0].env

    found = problems(tmp_path, f"{table}b = {{}}\n{rest}")

    assert "a table" == found["variables"].found
    assert "at most 1000 tables" in found["variables"].expected
