"""The floors of the house: imports only go down, and rooms on one floor are strangers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "serverless_wasm"
FLOORS = [
    {"eager", "errors", "parent", "text"},
    {"alarms", "limits", "messages", "events", "rate", "stores"},
    {"ahead", "refusals", "routing", "wasm", "net", "storage", "sources"},
    {"config", "abi"},
    {"application", "release"},
    {"engine_room"},
    {"deployment"},
    {"service"},
    {"server", "triggers", "observe"},
    {"processes"},
    {"admin"},
    {"cli", "embedded", "testing"},
    {"__init__", "__main__"},
]
ONLY_IN = {
    "wasmtime": {"wasm", "abi"},
    "cffi": {"wasm", "abi"},
    "sqlite3": {"storage"},
    "obstore": {"sources", "storage", "stores"},
    "redis": {"storage"},
    "dotenv": {"config"},
    "socket": {"net", "processes", "server"},
    "httptools": {"server"},
    "uvloop": {"cli"},
    "pydantic": {"config"},
    "typer": {"cli"},
    "watchfiles": {"processes"},
    "rich": {"cli", "observe"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """Every imported module's dotted name, type-only imports included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module == "serverless_wasm":
                yield from (f"serverless_wasm.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_down(file: Path) -> None:
    """A file imports its own room or lower floors, and each library only where it belongs."""
    own = room(file)
    for name in imports(file):
        top, _, rest = name.partition(".")
        if top == "serverless_wasm":
            other = rest.partition(".")[0] or "__init__"
            allowed = other == own or floor(other) < floor(own)
            assert allowed, f"{own} (floor {floor(own)}) imports {name} (floor {floor(other)})"
        elif top in ONLY_IN:
            assert own in ONLY_IN[top], f"{own} imports {top}"


def test_no_file_imports_itself_in_a_circle() -> None:
    """The import graph of files has no cycle."""
    names = {
        ".".join(("serverless_wasm", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): file
        for file in FILES
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for other in imports(names[name]):
                if other in names:
                    visit(other, (*path, name))
            done.add(name)

    for name in names:
        visit(name, ())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(file: Path) -> None:
    """No file over 500 lines, no function over 60, and every file says what it is for."""
    source = file.read_text()
    tree = ast.parse(source)

    assert len(source.splitlines()) <= 500
    assert not source or ast.get_docstring(tree), "no module docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_no_module_keeps_state() -> None:
    """Nothing at module level is a mutable container; `ffi` and `lib` are the library itself."""
    for file in FILES:
        for node in ast.parse(file.read_text()).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if isinstance(node.value, ast.List | ast.Set) and names != ["__all__"]:
                pytest.fail(f"{file}:{node.lineno}: a mutable module-level value")
