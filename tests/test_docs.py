"""The documentation against the code: keys, defaults, host functions, links, and Python examples."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from serverless_wasm import errors, events
from serverless_wasm.abi.env import FUNCTIONS
from serverless_wasm.abi.env_storage import FUNCTIONS as STORAGE_FUNCTIONS
from serverless_wasm.config.limit_tables import LimitsTable, ServerTable, TlsTable
from serverless_wasm.config.schema import ABIS, ApplicationTable, FileTable
from serverless_wasm.config.store_tables import FilesTable, KeyValueTable, StoreTable, VariableTable
from serverless_wasm.config.units import parse_duration, parse_size
from serverless_wasm.limits import DoorLimits, Limits

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()
ENV = (ROOT / "docs/abi/env.md").read_text()
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "samples/README.md",
    *(ROOT / "docs").rglob("*.md"),
]


def rows(heading: str) -> dict[str, list[str]]:
    """The first table below a heading, by the word in back-quotes of its first column."""
    section = CONFIGURATION.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line
    ]
    return {name: row[1:] for row in cells for name in re.findall(r"`(\w+)`", row[0])}


@pytest.mark.parametrize(
    ("heading", "table"),
    [
        ("Top level", FileTable),
        ("`[[applications]]`", ApplicationTable),
        ("`[limits]` and `limits`", LimitsTable),
        ("`[server]`", ServerTable),
        ("`[server.tls]`", TlsTable),
        ("`[stores.NAME]`", StoreTable),
        ("`[key_value.NAME]`", KeyValueTable),
        ("Variables", VariableTable),
        ("Files", FilesTable),
    ],
)
def test_every_key_has_its_row(heading: str, table: type[FileTable]) -> None:
    """No key without a row, no row without a key."""
    assert set(table.model_fields) == set(rows(heading))


@pytest.mark.parametrize(
    ("heading", "limits"), [("`[limits]` and `limits`", Limits()), ("`[server]`", DoorLimits())]
)
def test_defaults_are_those_of_the_code(heading: str, limits: Limits | DoorLimits) -> None:
    """The second column is what happens when the key is left out."""
    written = rows(heading)
    for field in fields(limits):
        value = getattr(limits, field.name)
        default = written[field.name][0].strip('`"').removesuffix("/s")
        if value is None:
            assert default == "not counted"
            continue
        given: object = int(default) if default.isdigit() else default
        parsed = parse_size(given, 0, 2**40) if isinstance(value, int) else parse_duration(given, 0, 1e6)
        assert value == parsed, field.name


def test_every_host_function_is_specified_with_its_type() -> None:
    """Name, parameter types in order, and result."""
    specified = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", ENV, re.MULTILINE))
    combined = re.findall(r"`(\w+)`", ENV)
    for function in (*FUNCTIONS, *STORAGE_FUNCTIONS):
        assert function.name in combined
        kind = re.findall(r"\b[if](?:32|64)\b", specified[function.name])
        assert [*function.type.params, *function.type.results] == kind, function.name


def test_every_outcome_is_specified() -> None:
    """Each InvocationError's outcome has a row."""
    outcomes = {kind.outcome for kind in errors.InvocationError.__subclasses__()}

    assert outcomes <= set(re.findall(r"^\| `(\w+)` \|", ENV, re.MULTILINE))


def test_every_abi_and_event_is_named_in_the_docs() -> None:
    """An operator finds each word of the log and of the file."""
    operation = (ROOT / "docs/operation.md").read_text()

    assert all(f'`"{abi}"`' in CONFIGURATION for abi in ABIS)
    for event in events.Event.__subclasses__():
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()
        assert f"`{name}`" in operation, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is a file of the repository."""
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples_compile(page: Path) -> None:
    """Nothing that a reader copies has a slip of the pen."""
    for example in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        compile(example, str(page), "exec")
