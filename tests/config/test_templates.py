"""Templates: variables in any value, put in once, and secrets nowhere where they would be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.config.configuration import Configuration
from serverless_wasm.config.load import load
from serverless_wasm.config.locate import SourceMap
from serverless_wasm.config.templates import MAX_TEXT, Expansion
from serverless_wasm.config.variables import Variable
from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.stores import Remote

VARIABLES = """
[variables]
host = { default = "www.example.com" }
seven = { default = "7" }
size = { default = "32MiB" }
yes = { default = "true" }
bad = { default = "shown nowhere" }
key = { default = "hunter2", secret = true }
backend = { default = "hunter2:80", secret = true }
"""
APPLICATION = '[[applications]]\nfile_path = "a.wasm"\nurl_path = "/a"\n'
EVERYWHERE = """
[limits]
concurrency = "{{ seven }}"
connect_timeout = "{{seven}}"

[server]
workers = "{{ seven }}"

[[applications]]
file_path = "{{ host }}/a.wasm"
url_path = "/{{ seven }}/{{\tseven }}"
method = ["{{ host }}", "get"]
host = "{{ host }}"
tmp = "{{ yes }}"
limits = { memory = "{{ size }}", queue = "{{ seven }}" }
env = { a = "{{ seven }}", b = "{{{{ seven }} }}", c = "x{{ key }}", d = "{{ yes }}" }
arguments = ["{{ seven }}"]
files = { "/{{ seven }}" = "s3://{{ host }}" }

[stores.a]
url = "s3://{{ host }}"
secret_access_key = "{{ key }}"

[key_value.default]
url = "redis://:{{ key }}@h/{{ seven }}"
"""


def read(folder: Path, text: str) -> Configuration:
    """The configuration that a text with the variables makes."""
    path = folder / "config.toml"
    path.write_text(VARIABLES.strip() + "\n" + text)
    return load(path)


def problems(folder: Path, text: str) -> dict[str, Problem]:
    """Its problems, by their keys; each key once, and none with a value in it."""
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    found = {problem.key: problem for problem in caught.value.problems}
    assert len(found) == len(caught.value.problems)
    told = str(caught.value.problems)
    assert "hunter2" not in told
    assert "nowhere" not in told
    return found


def test_everywhere(tmp_path: Path) -> None:
    """Any value takes a variable, and what is nothing but one becomes what its key takes; keys do not."""
    configuration = read(tmp_path, EVERYWHERE)

    (application,) = configuration.applications
    assert 7 == configuration.workers
    assert application.file_path == tmp_path / "www.example.com" / "a.wasm"
    assert ("/7/7", ("WWW.EXAMPLE.COM", "GET"), "www.example.com", True) == (
        application.url_path,
        application.methods,
        application.host,
        application.tmp,
    )
    limits = application.limits
    assert (7, 7.0, 32 << 20, 7) == (limits.concurrency, limits.connect_timeout, limits.memory, limits.queue)
    assert {"a": "7", "b": "{{ seven }} }}", "c": "xhunter2", "d": "true"} == application.env
    assert ("7",) == application.arguments
    (place,) = application.files
    assert isinstance(place.where, Remote)
    assert place.where.store
    assert ("/{{ seven }}", {"secret_access_key": "hunter2"}) == (place.name, place.where.store.options)
    assert "hunter2" not in repr(configuration)


MISTAKES = {
    'host = "{{ hosst }}"': ("host", "{{ hosst }}", 'did you mean "host"?'),
    'host = "a {{ Host }}"': ("host", "{{ without a name and }}", "{{{{ for two braces"),
    'host = "{{ host"': ("host", "{{ without a name and }}", "{{ name }} for a variable"),
    'host = "{{{ host }}}"': ("host", "{{ without a name and }}", "{{ name }} for a variable"),
    'host = "{{ bad }}"': ("host", '"{{ bad }}"', "a host name"),
    'host = "a.{{ bad }}"': ("host", '"a.{{ bad }}"', "a host name"),
    'host = "{{ key }}"': ("host", "the secret {{ key }}", "a variable that is not secret"),
    'name = "{{ key }}"': ("name", "the secret {{ key }}", "a variable that is not secret"),
    'arguments = ["a", "{{ key }}"]': ("arguments[1]", "the secret {{ key }}", "only env, credentials"),
    'key_value = ["{{ seven }}"]': ("key_value[0]", '"{{ seven }}"', "one of default"),
    'env = { a = "{{ backend }}" }': ("env.a", "an address with a secret", "which check shows"),
    'env = { a = "{{ key }}.hunter2:80" }': ("env.a", "an address with a secret", "which check shows"),
    'env = { a = "hunter2 {{ x }}" }': ("env.a", "{{ x }}", "one of backend, bad, host"),
    'files = { "/a" = "{{ yes }}://b" }': ('files."/a".url', '"{{ yes }}://b"', "file:///, s3://"),
    'files = { "/a" = "{{ key }}" }': ('files."/a"', "the secret {{ key }}", "not secret"),
    'limits = { queue = "{{ bad }}" }': ("limits.queue", '"{{ bad }}"', "a whole number"),
    'limits = { queue = "0{{ seven }}" }': ("limits.queue", '"0{{ seven }}"', "a whole number"),
    'tmp = "{{ seven }}"': ("tmp", '"{{ seven }}"', "true for a scratch folder"),
    'hosts = "{{ bad }}"': ("hosts", "an unknown key", 'did you mean "host"?'),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes(tmp_path: Path, line: str) -> None:
    """Each is told once, on its line, with what is written and not with what became of it."""
    key, found, expected = MISTAKES[line]

    (problem,) = problems(tmp_path, APPLICATION + line + "\n").values()

    assert (12, f"applications[0].{key}", found) == (problem.line, problem.key, problem.found)
    assert expected in problem.expected


def test_secrets_of_stores(tmp_path: Path) -> None:
    """Only their credentials take one; whatever is wrong with them, nothing of it is shown."""
    text = '[stores.a]\nurl = "s3://{{ key }}"\nregion = "{{ key }}"\nsession_token = "{{ key }}\\u0000"\n'
    text += '[key_value.a]\nurl = "http://{{ key }}"\nquota = "{{ key }}"\n'

    found = problems(tmp_path, APPLICATION + text)

    assert {
        "stores.a.url": "the secret {{ key }}",
        "stores.a.region": "the secret {{ key }}",
        "stores.a.session_token": "text",
        "key_value.a.url": "text",
        "key_value.a.quota": "the secret {{ key }}",
    } == {key: problem.found for key, problem in found.items()}


def test_values_are_put_in_once(tmp_path: Path) -> None:
    """Braces in a value stay as they are, and in the table of variables they mean nothing."""
    variables = "[variables]\na = { default = '{{ b }} {{{{' }\nb = { default = 'no' }\n"
    path = tmp_path / "config.toml"
    path.write_text(variables + APPLICATION + 'env = { a = "{{ a }}{{ a }}" }\n')

    assert {"a": "{{ b }} {{{{{{ b }} {{{{"} == load(path).applications[0].env


def test_a_table_of_variables_is_not_needed(tmp_path: Path) -> None:
    """Without one, braces that are written twice are two, and a name is a mistake."""
    path = tmp_path / "config.toml"
    path.write_text(APPLICATION + 'env = { a = "{{{{ a }}", b = "}}" }\n')
    assert {"a": "{{ a }}", "b": "}}"} == load(path).applications[0].env

    path.write_text(APPLICATION + 'env = { a = "{{ a }}" }\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert "a [variables] table that has it" == caught.value.problems[0].expected


def expansion(text: str) -> Expansion:
    """With one variable `a`."""
    variable = Variable(text=text, secret=False)
    return Expansion({"a": variable}, SourceMap(file="config.toml", lines={}))


def test_much_text(tmp_path: Path) -> None:
    """A long value that is named often is refused before it is put together."""
    long = expansion("x" * (MAX_TEXT // 4))

    document = long.document({"a": "{{ a }}" * 3, "b": "{{ a }}" * 200_000, "c": "{{ a }}" * 200_000})

    assert MAX_TEXT // 4 * 3 == len(document["a"])
    assert ["b", "c"] == [problem.key for problem in long.problems]
    assert "more than 16MiB of text with variables" == long.problems[0].found


TEXTS = st.text(alphabet="{} a", max_size=12)


@given(
    st.dictionaries(
        st.sampled_from("bcd"),
        st.recursive(
            TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=2)
        ),
    ),
    TEXTS,
)
def test_anything(document: dict[str, Any], text: str) -> None:
    """Every text is either told as a problem or says what it says, with its shape around it."""
    expanded = expansion(text)

    after = expanded.document(document)

    assert shape(document) == shape(after)
    if not expanded.problems and not any("{{" in word for word in words(document)):
        assert document == after


def shape(value: Any) -> Any:
    """A value with its texts left out."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


def words(value: Any) -> list[str]:
    """The texts in a value."""
    if isinstance(value, str):
        return [value]
    return [word for item in (value.values() if isinstance(value, dict) else value) for word in words(item)]


def test_thousands_of_mistakes(tmp_path: Path) -> None:
    """More than anybody reads are cut, and none of them is told twice."""
    entries = "".join(
        f'[[applications]]\nfile_path = "a"\nurl_path = "/{{{{ x }}}}/{i}"\n' for i in range(3000)
    )
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, entries)
    assert 1001 == len(caught.value.problems)
    assert {"{{ x }}", "more mistakes"} == {problem.found for problem in caught.value.problems}
