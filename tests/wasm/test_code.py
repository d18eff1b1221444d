"""Guest code of either kind: compiled once, loaded from the cache, refused for a reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import Sandbox, wat
from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.artifacts import Artifact, Cache
from serverless_wasm.wasm.code import compile_code, load_code, look_into
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.modules import Module

MAIN = '(memory (export "memory") 1) (table 7 funcref) (func (export "handle"))'
ONE = f"""(component (core module $Main {MAIN}) (core instance $main (instantiate $Main))
  (func $handle (canon lift (core func $main "handle")))
  (instance $exported (export "handle" (func $handle))) (export "a:b/c@0.2.0" (instance $exported)))"""
TWO = f"""(component (core module $Main {MAIN}) (core instance (instantiate $Main))
  (core instance (instantiate $Main)) (core module $Other (memory 2)) (core instance (instantiate $Other)))"""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """An empty one."""
    return Cache(tmp_path / "cache")


def compiled(sandbox: Sandbox, cache: Cache, text: str, limits: ModuleLimits | None = None) -> Artifact:
    return compile_code(sandbox.engine, wat(text), cache, limits or ModuleLimits())


def test_a_module_is_a_module(sandbox: Sandbox, cache: Cache) -> None:
    """As without components."""
    artifact = compiled(sandbox, cache, f"(module {MAIN})")

    assert artifact.parts is None
    assert isinstance(load_code(sandbox.engine, cache, artifact), Module)


def test_a_component_is_loaded_from_the_cache(sandbox: Sandbox, cache: Cache) -> None:
    """Its modules are compiled once, and not taken for the same alone; its facts survive a journey."""
    artifact = compiled(sandbox, cache, ONE)
    alone = compiled(sandbox, cache, f"(module {MAIN})")

    component = load_code(sandbox.engine, cache, artifact)

    assert isinstance(component, Component)
    assert (65_536, 7) == artifact.begins
    assert artifact.parts is not None
    assert alone.digest not in artifact.parts
    assert artifact == compiled(sandbox, cache, ONE) == Artifact.from_facts(artifact.facts())
    (lifted,) = component.blueprint.exports
    assert ("a:b/c@0.2.0", "handle") == (lifted.interface, lifted.name)
    assert component.blueprint == look_into(sandbox.engine, wat(ONE)).blueprint
    component.close()


def test_what_is_gone_is_compiled_again(sandbox: Sandbox, cache: Cache) -> None:
    """A component without one of its modules is as good as none."""
    artifact = compiled(sandbox, cache, ONE)
    assert artifact.parts
    cache.drop(artifact.parts[0], fuel=False)

    with pytest.raises(CompileError, match="compiled again"):
        load_code(sandbox.engine, cache, artifact)

    assert artifact == compiled(sandbox, cache, ONE)
    assert isinstance(load_code(sandbox.engine, cache, artifact), Component)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (TWO, "has 3 memories, where one is supported"),
        ('(component (import "a" (func)))', "imports"),
    ],
)
def test_a_component_that_is_refused(sandbox: Sandbox, cache: Cache, text: str, says: str) -> None:
    """With its reason, and nothing of it is kept."""
    data = wat(text)
    with pytest.raises(CompileError, match=says):
        compile_code(sandbox.engine, data, cache, ModuleLimits())
    with pytest.raises(CompileError, match=says):
        look_into(sandbox.engine, data)


def test_limits_hold_for_its_modules(sandbox: Sandbox, cache: Cache) -> None:
    """What a module may be made of, one within a component may be, and no more."""
    with pytest.raises(CompileError):
        compiled(sandbox, cache, ONE, ModuleLimits(functions=0))
