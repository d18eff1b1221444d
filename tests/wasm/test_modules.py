"""Compiling, describing and keeping modules."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import Sandbox, wat
from serverless_wasm.errors import CompileError
from serverless_wasm.wasm import modules
from serverless_wasm.wasm.artifacts import Artifact, Cache, Entry
from serverless_wasm.wasm.code import InlineCompiler
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.modules import (
    Compiler,
    Export,
    FunctionType,
    Import,
    MemoryType,
    Module,
    Shape,
    Shapes,
    compile_module,
    load_module,
)
from zoo.generated import g12_locals, g12_nested_loops

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
    """One artifact, and nothing is written the second time."""
    Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)
    (artifact,) = artifacts(folder)
    written = artifact.stat().st_mtime_ns

    Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)

    assert [artifact] == artifacts(folder)
    assert written == artifact.stat().st_mtime_ns


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda _data: b""])
def test_changed_artifact_is_compiled_anew(
    sandbox: Sandbox, folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    """And replaced."""
    Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)
    (artifact,) = artifacts(folder)
    good = artifact.read_bytes()
    artifact.write_bytes(damage(good))

    module = Compiler(sandbox.engine, Cache(folder)).compile(PLAIN)

    assert module.export("handle")
    assert len(good) == artifact.stat().st_size


def test_artifact_that_the_engine_cannot_use_is_compiled_anew(sandbox: Sandbox, folder: Path) -> None:
    """It carries our checksum, but was made with other settings."""
    cache = Cache(folder)
    artifact = compile_module(sandbox.engine, PLAIN, cache, ModuleLimits())
    cache.put(Entry(artifact=artifact, shape=b"", code=b"no code"), fuel=False)

    assert Compiler(sandbox.engine, cache).compile(PLAIN).export("handle")
    assert load_module(sandbox.engine, cache, artifact).export("handle")

    cache.put(Entry(artifact=artifact, shape=b"", code=b"no code"), fuel=False)

    assert artifact == compile_module(sandbox.engine, PLAIN, cache, ModuleLimits())
    assert load_module(sandbox.engine, cache, artifact).export("handle")


def test_artifact_that_cannot_be_kept_is_only_not_kept(sandbox: Sandbox, folder: Path) -> None:
    """A folder that disappears does not stop a compilation, unless the code can go no other way."""
    cache = Cache(folder)
    (folder / "key").unlink()
    folder.rmdir()
    cache.spare.mkdir()
    cache.spare.chmod(0o777)

    try:
        assert Compiler(sandbox.engine, cache).compile(PLAIN).export("handle")
        with pytest.raises(CompileError, match=r"cannot be kept in .*: .* write: chmod 700"):
            compile_module(sandbox.engine, PLAIN, cache, ModuleLimits())
    finally:
        cache.spare.rmdir()


@pytest.mark.parametrize("code", [None, b"no code"])
def test_artifact_that_is_gone_is_told(sandbox: Sandbox, folder: Path, code: bytes | None) -> None:
    """Or is of no use, and then it is removed: the next compilation must not find it."""
    cache = Cache(folder)
    artifact = compile_module(sandbox.engine, PLAIN, cache, ModuleLimits())
    if code:
        cache.put(Entry(artifact=artifact, shape=b"", code=code), fuel=False)
    else:
        artifacts(folder)[0].unlink()

    with pytest.raises(CompileError, match=r"has no compiled code in .* any more|cannot be loaded: "):
        load_module(sandbox.engine, cache, artifact)
    assert [] == artifacts(folder)


def test_loaded_module_is_as_the_compiled_one(sandbox: Sandbox, folder: Path) -> None:
    """Names, types, what it begins with, and the memory that was imported."""
    data = wat(
        '(module (import "env" "memory" (memory 3)) (import "env" "f" (func (param i64))) (table 9 funcref))'
    )
    cache = Cache(folder)
    compiled = sandbox.compiler.compile(data)

    loaded = load_module(sandbox.engine, cache, compile_module(sandbox.engine, data, cache, ModuleLimits()))

    for fact in ("digest", "begins", "imports", "exports", "memory"):
        assert getattr(compiled, fact) == getattr(loaded, fact), fact


TYPES = st.one_of(
    st.builds(
        FunctionType,
        st.lists(st.sampled_from(["i32", "i64", "f32", "f64", "v128", "funcref"])).map(tuple),
        st.lists(st.sampled_from(["i32", "f64"])).map(tuple),
    ),
    st.builds(MemoryType, st.integers(0, 2**32), st.none() | st.integers(0, 2**32)),
    st.sampled_from(["table", "global"]),
)
NAMES = st.text()


@given(
    st.lists(st.builds(Import, NAMES, NAMES, TYPES)).map(tuple),
    st.lists(st.builds(Export, NAMES, TYPES)).map(tuple),
)
def test_shape_comes_back_as_it_was(imports: tuple[Import, ...], exports: tuple[Export, ...]) -> None:
    """Any name, of any characters; the same bytes for the same shape."""
    shape = Shape(imports, exports)

    assert shape == Shape.decode(shape.encode())
    assert shape.encode() == Shape(tuple(imports), tuple(exports)).encode()


@given(
    st.binary(max_size=40)
    | st.sampled_from([b"[[],[[1]]]", b'[[],[["a",2]]]', b"null", b"[[1],[]]", b"[" * 100_000])
)
def test_what_is_no_shape(text: bytes) -> None:
    """One kind of exception, whatever it is."""
    with suppress(ValueError):
        Shape.decode(text)


def test_entry_whose_shape_is_none_is_dropped(sandbox: Sandbox, folder: Path) -> None:
    """As one whose code the engine does not take."""
    cache = Cache(folder)
    artifact = compile_module(sandbox.engine, PLAIN, cache, ModuleLimits())
    entry = cache.get(artifact.digest, fuel=False)
    assert entry is not None
    cache.put(replace(entry, shape=b"no shape"), fuel=False)

    with pytest.raises(CompileError, match="cannot be loaded: "):
        load_module(sandbox.engine, cache, artifact)
    assert [] == artifacts(folder)


HOSTILE = '\x00\x1b[2J\u202e\u2028\ud7ff\U0010ffff"\\n'


def test_hostile_names_come_back_from_the_cache(sandbox: Sandbox, folder: Path) -> None:
    """Control characters, quotes and what is beyond the first 65,536: as the bytes have them."""
    name = "".join(f"\\{byte:02x}" for byte in HOSTILE.encode())
    own = f'(func (export "{name}")) (global (export "") i32 (i32.const 0))'
    data = wat(f'(module (import "{name}" "{name}" (func)) {own})')
    cache = Cache(folder)

    loaded = load_module(sandbox.engine, cache, compile_module(sandbox.engine, data, cache, ModuleLimits()))

    assert (Import(HOSTILE, HOSTILE, FunctionType()),) == loaded.imports
    assert (Export(HOSTILE, FunctionType()), Export("", "global")) == loaded.exports


def test_modules_that_are_alike_share_one_shape(sandbox: Sandbox, folder: Path) -> None:
    """For as long as one of them lives; those of another shape have their own."""
    cache, shapes = Cache(folder), Shapes()

    def load(result: str, number: int) -> Module:
        data = wat(f'(module (func (export "handle") (result {result}) {result}.const {number}))')
        artifact = compile_module(sandbox.engine, data, cache, ModuleLimits())
        return load_module(sandbox.engine, cache, artifact, shapes)

    first, second, other = load("i32", 1), load("i32", 2), load("i64", 1)

    assert first.exports is second.exports
    assert FunctionType((), ("i64",)) == other.export("handle")
    del first, second, other
    gc.collect()
    assert not shapes._known


@pytest.mark.parametrize("name", ["a" * 60, "\\01" * 10], ids=["long", "long once it is escaped"])
def test_shape_that_is_too_long_is_asked_of_the_engine(
    sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The entry stays small, and the module is the same."""
    cache = Cache(folder)
    monkeypatch.setattr(modules, "SHAPE_LIMIT", 50)

    artifact = compile_module(
        sandbox.engine, wat(f'(module (func (export "{name}")))'), cache, ModuleLimits()
    )

    entry = cache.get(artifact.digest, fuel=False)
    assert entry is not None
    assert entry.shape == b""
    (export,) = load_module(sandbox.engine, cache, artifact).exports
    assert export.type == FunctionType()


def test_bomb_is_refused_before_the_engine_sees_it(sandbox: Sandbox, folder: Path) -> None:
    """Whoever compiles, and with the limits that were given."""
    cache = Cache(folder)
    for bomb in (g12_locals(), g12_nested_loops()):
        with pytest.raises(CompileError, match=r"in function 0, [0-9,]+ are allowed"):
            Compiler(sandbox.engine, cache).compile(bomb)
    with pytest.raises(CompileError, match="has 1 functions, 0 are allowed"):
        compile_module(sandbox.engine, PLAIN, cache, ModuleLimits(functions=0))
    assert [] == artifacts(folder)


def test_compiler_in_this_process_gives_artifacts_in_turn(sandbox: Sandbox, folder: Path) -> None:
    """All that were asked for at once, refusals among them; closing it waits for what is left."""
    cache = Cache(folder)

    async def main() -> None:
        compiler = InlineCompiler(cache)
        answers = await asyncio.gather(
            *(compiler.compile(data) for data in (PLAIN, g12_locals(), PLAIN)), return_exceptions=True
        )
        abandoned = asyncio.create_task(compiler.compile(wat("(module (func))")))
        await asyncio.sleep(0)
        abandoned.cancel()
        await compiler.close()

        first, refused, second = answers
        assert isinstance(first, Artifact)
        assert isinstance(refused, CompileError)
        assert first == second
        assert load_module(sandbox.engine, cache, first).export("handle")

    asyncio.run(main())
