"""The compiled path: whether it is taken, and that C, cffi and Python mean the same by what they share."""

from __future__ import annotations

import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from paths import CC, COMPILED, NEEDS_CC, NEEDS_COMPILED, PURE, has_compiled, taking
from serverless_wasm.abi import env, request_text, response
from serverless_wasm.wasm import capi, fast, pure
from serverless_wasm.wasm.capi import ffi
from serverless_wasm.wasm.engine import Engine, EngineSettings
from serverless_wasm.wasm.fast import SOURCES, CompiledSteps, find_steps
from serverless_wasm.wasm.pure import PureSteps

HERE = Path(fast.__file__).parent
TOLD = ("plan_t", "answer_t", "guest_t", "allocation_t", "import_t", "wiring_t")
"""Those whose sizes the library tells."""
STRUCTURES = ("text_t", "variable_t", "call_t", "plan_t", "span_t", *TOLD[1:])
STRANGE = {
    "of other sources": 'const char fast_sources[] = "0"; const size_t fast_sizes[] = {SIZES};',
    "of other structures": "const char fast_sources[] = SOURCES; const size_t fast_sizes[6] = {0};",
    "of another release": "int guest_go(void *guest) { return guest != 0; }",
    "of another program": "",
}


def source(name: str) -> str:
    return (HERE / name).read_text(encoding="ascii")


def compile_and_run(folder: Path, program: str) -> str:
    """What a C program prints that has read the headers."""
    (folder / "program.c").write_text(
        f"""#include <stdbool.h>
        #include <stddef.h>
        #include <stdint.h>
        #include <stdio.h>
        #include "{HERE / "capi.h"}"
        #include "{HERE / "guest.h"}"
        int main(void) {{ {program} }}"""
    )
    subprocess.run([CC, "-std=c11", "-o", folder / "program", folder / "program.c"], check=True)
    return subprocess.run([folder / "program"], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sources, and of what was built from them."""
    for name in (*SOURCES, "libfast.so"):
        if (HERE / name).exists():
            shutil.copy(HERE / name, tmp_path)
    return tmp_path


def test_guests_are_tested_on_both_paths() -> None:
    """Where there is a compiler there is a compiled path, or half of these tests would say nothing."""
    if not CC:
        pytest.skip("there is no C compiler: the compiled path is NOT tested here")

    assert has_compiled(), "libfast.so is missing, or of other sources; write: pip install --editable ."


@NEEDS_COMPILED
def test_path_is_compiled_where_it_can_be(folder: Path) -> None:
    """Also elsewhere, with its sources beside it."""
    with taking(COMPILED):
        assert isinstance(find_steps(), CompiledSteps)
        assert isinstance(find_steps(folder), CompiledSteps)


@pytest.mark.parametrize("said", ["1", "0", "no"])
def test_path_is_pure_when_told(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Whatever the variable says."""
    monkeypatch.setenv(fast.PURE, said)

    assert isinstance(find_steps(), PureSteps)


@pytest.mark.parametrize("path", [pytest.param(COMPILED, marks=NEEDS_COMPILED), PURE])
def test_engine_takes_the_path_of_its_time(path: str) -> None:
    """What the tests of guests rely on: the environment counts when an engine is made."""
    with taking(path):
        engine = Engine(EngineSettings(slots=1))
    expected = CompiledSteps if path == COMPILED else PureSteps
    taken = engine.steps
    engine.close()

    assert isinstance(taken, expected)


def test_path_is_pure_without_the_file(folder: Path) -> None:
    """A wheel that was built without a compiler."""
    (folder / "libfast.so").unlink(missing_ok=True)

    with taking(COMPILED):
        assert isinstance(find_steps(folder), PureSteps)


@NEEDS_COMPILED
@pytest.mark.parametrize("name", SOURCES)
def test_path_is_pure_beside_other_sources(folder: Path, name: str) -> None:
    """A byte of any source is enough, and so is one that is gone."""
    for change in (bytes([*(folder / name).read_bytes(), 10]), None):
        (folder / name).unlink()
        if change:
            (folder / name).write_bytes(change)
        with taking(COMPILED):
            assert isinstance(find_steps(folder), PureSteps)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x7fELF" + bytes(1000), None])
def test_path_is_pure_beside_a_file_that_is_no_library(folder: Path, content: bytes | None) -> None:
    """Nothing, something, the head of a library, a folder."""
    file = folder / "libfast.so"
    file.unlink(missing_ok=True)
    file.mkdir() if content is None else file.write_bytes(content)

    with taking(COMPILED):
        assert isinstance(find_steps(folder), PureSteps)


@NEEDS_CC
@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_path_is_pure_beside_a_strange_library(folder: Path, text: str) -> None:
    """One that was built from other sources, or for other sizes, or has never heard of either."""
    digest = sha256(b"".join((folder / name).read_bytes() for name in SOURCES)).hexdigest()
    sizes = ",".join(str(ffi.sizeof(name)) for name in TOLD)
    told = [f'-DSOURCES="{digest}"', f"-DSIZES={sizes}"]
    (folder / "strange.c").write_text(f"#include <stddef.h>\n{text}\n")
    built = [CC, "-shared", "-fPIC", *told, "-o", "libfast.so", "strange.c"]
    subprocess.run(built, check=True, cwd=folder)

    with taking(COMPILED):
        assert isinstance(find_steps(folder), PureSteps)


def fields(name: str) -> list[tuple[str, Any]]:
    return list(ffi.typeof(name).fields)


@NEEDS_CC
def test_structures_lie_as_the_compiler_lays_them(tmp_path: Path) -> None:
    """Size, and each field's offset and size: cffi reckons them by itself, and a slip is a wild pointer."""
    asked = [f'printf("%zu\\n", sizeof({name}));' for name in STRUCTURES]
    expected = [ffi.sizeof(name) for name in STRUCTURES]
    for name in STRUCTURES:
        for field, found in fields(name):
            place = f"offsetof({name}, {field}), sizeof((({name} *)0)->{field})"
            asked.append(f'printf("%zu\\n%zu\\n", {place});')
            expected += [found.offset, ffi.sizeof(found.type)]

    told = compile_and_run(tmp_path, "".join(asked))

    assert len(expected) > 100
    assert expected == list(map(int, told.split()))


def test_every_structure_is_compared() -> None:
    """The list above is that of guest.h, and what the library tells the sizes of is in it."""
    assert list(STRUCTURES) == re.findall(r"^(?:typedef struct .*|\}) (\w+_t);$", capi.GUEST, re.MULTILINE)


def test_numbers_that_are_written_twice_are_the_same() -> None:
    """Those of fast.c, beside the Python that it stands for."""
    words = dict.fromkeys(re.findall(r"enum \{([^}]*)\}", source("fast.c")))
    told: dict[str, int] = {}
    for group in words:
        for place, word in enumerate(group.split(",")):
            name, _, number = word.partition("=")
            told[name.strip()] = int(number) if number else place

    assert told == {
        "WAITS": pure.WAITS,
        "OVER": pure.OVER,
        "FAILED": pure.FAILED,
        "LOST": pure.LOST,
        "ANSWERED": pure.ANSWERED,
        **{part: place for place, part in enumerate(("METHOD", "PATH", "QUERY", "PARAMETERS", "FIELDS"))},
        "PARTS": request_text._SIZES.size // 4,
        "EXTERN_FUNC": capi.EXTERN_FUNC,
        "EXTERN_MEMORY": capi.EXTERN_MEMORY,
        "NAME_LIMIT": env.NAME_LIMIT,
        "REASON_LIMIT": response.REASON_LIMIT,
    }


@NEEDS_COMPILED
def test_every_compiled_function_is_there() -> None:
    """Each that a table of host functions names, with the type that the engine calls."""
    with taking(COMPILED):
        steps = find_steps()
    assert isinstance(steps, CompiledSteps)
    named = [function.compiled for function in env.FUNCTIONS if function.compiled]

    found = [ffi.typeof(steps.function(name)) for name in named]

    assert [ffi.typeof("wasmtime_func_unchecked_callback_t")] * len(named) == found
    assert sorted(named) == sorted(set(re.findall(r"\bfast_(?!sources|sizes)\w+", source("fast.c"))))


@NEEDS_CC
def test_functions_are_declared_alike_for_cffi_and_for_c(tmp_path: Path) -> None:
    """A compiler that reads fast.c and then what cffi was told finds no contradiction."""
    told = re.search(r'ffi\.cdef\("""(.*?)"""\)', source("fast.py"), re.DOTALL)
    assert told is not None
    both = tmp_path / "both.c"
    both.write_text(f'#include "{HERE / "fast.c"}"\n{told[1]}')

    checked = [CC, "-std=c11", "-Wall", "-Wextra", "-Werror", '-DSOURCES=""', "-fsyntax-only", str(both)]

    assert "guest_go" in told[1]
    assert subprocess.run(checked, check=False).returncode == 0


def test_what_is_compiled_stays_small() -> None:
    """All of it can be read at one sitting, by whoever has to trust it."""
    assert len((source("guest.h") + source("fast.c")).splitlines()) < 500


def test_every_test_that_makes_an_engine_takes_both_paths() -> None:
    """A file that runs guests on engines of its own asks for both; on the shared ones it gets both."""
    tests = Path(__file__).parent.parent
    exceptions = {"test_env_paths.py", "test_prompt.py", Path(__file__).name}  # which name the path for each
    forgotten = [
        file.name
        for room in ("abi", "wasm")
        for file in (tests / room).glob("test_*.py")
        if re.search(r"(?<!wasmtime\.)\b(Sandbox|Engine)\(", file.read_text())
        and file.name not in exceptions
        and '"on_path"' not in file.read_text()
    ]

    assert [] == forgotten
