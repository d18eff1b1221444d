"""Between applications: names that are made, and names and routes that are taken twice."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.config.checks import check_names, check_routes, name_applications
from serverless_wasm.config.locate import locate
from serverless_wasm.config.values import name


def app(file_path: str, **keys: Any) -> dict[str, Any]:
    return {"file_path": file_path, **keys}


def test_names_are_made_of_file_and_function() -> None:
    """The default function is not named, and what a name cannot hold becomes a hyphen."""
    tables = [
        app("samples/hello.wasm"),
        app("samples/testfunc.wasm", function="bonjour"),
        app("/x/My App.v2.wasm", function="handle"),
        app("é.wasm"),
        app("_a.wasm", function="_start"),
        app("x" * 100 + ".wasm", function="f"),
    ]
    made = ["hello", "testfunc-bonjour", "my-app-v2", "application", "a-_start", "x" * 64]
    assert name_applications(tables) == made


def test_made_names_are_unique() -> None:
    """A made name gives way to a written one, wherever that stands, and to earlier made ones."""
    tables = [app("a.wasm"), app("a.wasm"), app("b.wasm", name="a"), app("a.wasm"), app("c.wasm", name="a-3")]
    assert name_applications(tables) == ["a-2", "a-4", "a", "a-5", "a-3"]
    long = [app("x" * 80)] * 11
    assert name_applications(long)[-1] == "x" * 61 + "-11"


@given(st.lists(st.fixed_dictionaries({"file_path": st.text(max_size=70), "function": st.text(max_size=3)})))
def test_made_names_are_names(tables: list[dict[str, str]]) -> None:
    """Whatever file and function are called, the name is unique and one that could be written."""
    names = name_applications(tables)
    assert len(set(names)) == len(tables)
    assert [name(made) for made in names] == names


def test_tables_that_are_none() -> None:
    """What is not a table has a name too, and no route: the schema reports it."""
    tables = [1, "a", {}, {"file_path": 1, "name": 1, "function": []}]
    assert name_applications(tables) == ["application", "application-2", "application-3", "application-4"]
    source = locate("f", "")
    assert not [*check_names(tables, source), *check_routes(tables, name_applications(tables), source)]


def test_duplicate_names() -> None:
    """The second writer of a name is told where the first is."""
    text = '[[applications]]\nname = "a"\n[[applications]]\n[[applications]]\n\nname = "a"'
    tables = [app("x", name="a"), app("y"), app("z", name="a")]
    [problem] = check_names(tables, locate("f", text))
    assert (problem.line, problem.key) == (6, "applications[2].name")
    assert "line 2" in problem.found


def test_route_conflicts() -> None:
    """Both applications and both lines are named, though another key of one of them is wrong."""
    text = '[[applications]]\nurl_path = "/a/:x"\n[[applications]]\n\nurl_path = "/a/:y"'
    tables = [app("x.wasm", url_path="/a/:x", function=1), app("y.wasm", url_path="/a/:y", host="H")]
    source = locate("f", text)
    assert not [*check_routes(tables, ["x", "y"], source)]
    del tables[1]["host"]
    [problem] = check_routes(tables, ["x", "y"], source)
    assert (problem.line, problem.key) == (5, "applications[1].url_path")
    assert problem.found == 'the route of application "x" on line 2'
    assert problem.expected == 'a path, method or host of its own for application "y"'
