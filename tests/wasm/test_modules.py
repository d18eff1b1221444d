"""Compiling, describing and keeping modules."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sandbox import Sandbox, wat
from serverless_wasm.errors import CompileError, EngineError
from serverless_wasm.wasm.modules import Cache, Compiler, FunctionType, MemoryType

PLAIN = wat(
    '(module (memory (export "memory") 1 3) (func (export "handle") (param i32) (result i64) i64.const 0))'
)
FEATURES = {
    "gc": "(module (type (struct (field i32))))",
    "function references": "(module (type $f (func)) (func (param (ref $f))))",
    "exceptions": "(module (tag))",
    "memory64": "(module (memory i64 1))",
    "threads": "(module (memory 1 1 shared))",
    "multi-memory": "(module (memory 1) (memory 1))",
    "wide arithmetic": "(module (func (drop (drop (i64.mul_wide_s (i64.const 1) (i64.const 1))))))",
    "stack switching": "(module (type $f (func)) (type $c (cont $f)))",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def artifacts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.cwasm"))


def test_module_describes_itself(sandbox: Sandbox) -> None:
    """Exports with their types; sizes of memory in bytes."""
    module = sandbox.compiler.compile(PLAIN)

    assert MemoryType(65_536, 3 * 65_536) == module.memory
    assert FunctionType(("i32",), ("i64",)) == module.export("handle")
    assert module.export("nothing") is None
    assert () == module.imports


def test_imported_memory_is_still_told(sandbox: Sandbox) -> None:
    """The import that the host makes the module's own is listed as the bytes have it."""
    module = sandbox.compiler.compile(wat('(module (import "env" "memory" (memory 1)))'))

    assert ["env.memory from 65536 to any number of bytes"] == [str(item) for item in module.imports]


@pytest.mark.parametrize("text", FEATURES.values(), ids=FEATURES)
def test_features_on_the_advisory_list_are_off(sandbox: Sandbox, text: str) -> None:
    """Each is refused when it is compiled (DESIGN 2.6)."""
    with pytest.raises(CompileError, match="is not valid"):
        sandbox.compiler.compile(wat(text))


@pytest.mark.parametrize("data", [PLAIN[:-1], PLAIN + b"\x01", PLAIN[:9] + b"\xff" + PLAIN[10:]])
def test_damaged_module_is_refused_with_a_short_reason(sandbox: Sandbox, data: bytes) -> None:
    """One visible line, whatever the bytes."""
    with pytest.raises(CompileError) as caught:
        sandbox.compiler.compile(data)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 700


def test_own_and_imported_memory_together_stay_invalid(sandbox: Sandbox) -> None:
    """Rewriting must not make a module valid that was not."""
    with pytest.raises(CompileError):
        sandbox.compiler.compile(wat('(module (import "env" "memory" (memory 1)) (memory 1))'))


def test_second_compilation_comes_from_the_cache(sandbox: Sandbox, folder: Path) -> None:
    """One artifact, owner-only, and nothing is written the second time."""
    Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)
    (artifact,) = artifacts(folder)
    written = artifact.stat().st_mtime_ns

    Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)

    assert [artifact] == artifacts(folder)
    assert written == artifact.stat().st_mtime_ns
    assert stat.S_IMODE(artifact.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" + data[1:], lambda _data: b""])
def test_changed_artifact_is_never_loaded(sandbox: Sandbox, folder: Path, damage: object) -> None:
    """It is native code: what does not carry our checksum is compiled anew and replaced."""
    assert callable(damage)
    Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)
    (artifact,) = artifacts(folder)
    good = artifact.read_bytes()
    artifact.write_bytes(damage(good))

    module = Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)

    assert module.export("handle")
    assert len(good) == artifact.stat().st_size


def test_artifact_of_another_user_or_key_is_not_ours(sandbox: Sandbox, folder: Path) -> None:
    """The checksum is keyed: a file that was made elsewhere does not pass."""
    Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)
    (artifact,) = artifacts(folder)
    content = artifact.read_bytes()
    digest = artifact.name[:64]
    (folder / "key").write_bytes(os.urandom(32))

    assert Cache(folder).get(digest) is None
    assert content[32:]


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_folder_that_others_may_write_is_refused(folder: Path, mode: int) -> None:
    """The sentence says what to do."""
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(EngineError, match=r"can be written by others; write: chmod 700"):
        Cache(folder)


def test_folder_that_is_a_file_is_refused(folder: Path) -> None:
    """No traceback of the system's, a sentence."""
    folder.write_text("")

    with pytest.raises(EngineError, match="cannot be used"):
        Cache(folder)


def test_artifact_that_cannot_be_kept_is_only_not_kept(sandbox: Sandbox, folder: Path) -> None:
    """A folder that disappears does not stop a compilation."""
    cache = Cache(folder)
    (folder / "key").unlink()
    folder.rmdir()

    assert Compiler(sandbox.engine, cache).compile(PLAIN).export("handle")
