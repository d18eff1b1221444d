"""What is built of the source: with the compiled path where there is a C compiler, whole without it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from paths import COMPILED, NEEDS_CC, taking
from serverless_wasm.wasm.fast import SOURCES, CompiledSteps, find_steps

hatch_build = pytest.importorskip("hatch_build", reason="hatchling is not installed, which builds wheels")
ROOT = Path(__file__).parent.parent
PARTS = ("src", "pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore")
LIBRARY = "serverless_wasm/wasm/libfast.so"
RUN_A_GUEST = """
import asyncio, serverless_wasm
from sandbox import Sandbox
room = Sandbox(slots=2)
asyncio.run(room.run(room.link('(module (memory (export "memory") 1) (func (export "handle")))')))
print(serverless_wasm.__file__, room.engine.steps.name, sep="\\n")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sources of the compiled path."""
    for name in SOURCES:
        shutil.copy(ROOT / hatch_build.FOLDER / name, tmp_path)
    return tmp_path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what a wheel is built from, in which something was built before."""
    for part in PARTS:
        from_here, to_there = ROOT / part, tmp_path / "tree" / part
        to_there.parent.mkdir(exist_ok=True)
        if from_here.is_dir():
            shutil.copytree(from_here, to_there, ignore=shutil.ignore_patterns("__pycache__", "libfast.so"))
        else:
            shutil.copy(from_here, to_there)
    (tmp_path / "tree/src" / LIBRARY).write_bytes(b"of long ago")
    return tmp_path / "tree"


def built(tree: Path, kind: str, **environment: str) -> Path:
    """The one file of this kind that is built of the tree."""
    out = tree.parent / kind
    hatchling = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    subprocess.run(hatchling, cwd=tree, env=unbiased(environment), check=True, capture_output=True)
    (file,) = out.iterdir()
    return file


def unbiased(more: dict[str, str]) -> dict[str, str]:
    """The environment, but that it says nothing of compilers and paths."""
    said = {"CC", "SERVERLESS_WASM_PURE"}
    return {name: value for name, value in os.environ.items() if name not in said} | more


def taken(wheel: Path) -> str:
    """The path of a guest that is run with what is in the wheel."""
    site = wheel.parent.parent / "site"
    shutil.unpack_archive(wheel, site, "zip")
    environment = unbiased({"PYTHONPATH": f"{site}{os.pathsep}{ROOT / 'tests'}"})
    program = [sys.executable, "-c", RUN_A_GUEST]
    told = subprocess.run(program, cwd=site, env=environment, check=True, capture_output=True, text=True)
    file, path = told.stdout.splitlines()
    assert Path(file).is_relative_to(site)
    return path


@pytest.mark.parametrize(
    ("compiler", "sentence"),
    [
        ("/nonexistent/cc", "No such file or directory: '/nonexistent/cc'"),
        ("false", "returned non-zero exit status 1"),
        ("true", "No such file or directory"),
        ("cc 'half", "CC cannot be read: No closing quotation"),
    ],
)
def test_compiler_that_fails_is_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, compiler: str, sentence: str
) -> None:
    """One that is not there, one that refuses, one that makes nothing: no file, and the build goes on."""
    monkeypatch.setenv("CC", compiler)

    problem = hatch_build.build(folder, folder / "libfast.so")

    assert sentence in problem
    assert sorted(SOURCES) == sorted(file.name for file in folder.iterdir())


def test_no_compiler_is_a_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(folder))

    assert "install gcc or clang" in hatch_build.build(folder, folder / "libfast.so")
    assert not (folder / "libfast.so").exists()


@NEEDS_CC
@pytest.mark.parametrize("compiler", ["", "cc -O0 -g", "cc -Werror"])
def test_what_is_built_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch, compiler: str) -> None:
    """With the compiler that is found, or with CC and its arguments; nothing else is left behind."""
    monkeypatch.setenv("CC", compiler)

    assert hatch_build.build(folder, folder / "libfast.so") == ""
    assert sorted((*SOURCES, "libfast.so")) == sorted(file.name for file in folder.iterdir())
    with taking(COMPILED):
        assert isinstance(find_steps(folder), CompiledSteps)


def test_both_halves_know_the_same_sources() -> None:
    """What is built from them, and what is compared with them."""
    assert hatch_build.SOURCES == SOURCES


@NEEDS_CC
def test_wheel_with_the_compiled_path(tree: Path) -> None:
    """It is for this kind of machine and any Python, and a guest takes the path."""
    wheel = built(tree, "wheel")

    assert "-py3-none-linux_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(LIBRARY).startswith(b"\x7fELF")
        (told,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        assert b"Root-Is-Purelib: false" in archive.read(told)
    assert taken(wheel) == "compiled path"


def test_wheel_without_a_compiler(tree: Path) -> None:
    """It is for all machines, has nothing in it that is not, and a guest runs."""
    wheel = built(tree, "wheel", CC="/nonexistent/cc")

    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert [] == [name for name in archive.namelist() if name.endswith((".so", ".new"))]
        assert {f"serverless_wasm/wasm/{name}" for name in SOURCES} <= set(archive.namelist())
    assert taken(wheel) == "pure path"


def test_source_archive_can_be_built_from(tree: Path) -> None:
    """It has the sources and the hook, and nothing that was built."""
    with tarfile.open(built(tree, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"hatch_build.py", *(f"{hatch_build.FOLDER}/{name}" for name in SOURCES)} <= names
    assert f"src/{LIBRARY}" not in names
