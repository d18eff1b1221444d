"""Components whose bytes are not what they were: taken apart, or refused, and never anything else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest
import wasmtime
from wasmtime.component import Component as Whole

from sandbox import wat
from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.components.blueprint import Blueprint, Export, Host, Lowered, Source
from serverless_wasm.wasm.components.reader import read
from serverless_wasm.wasm.components.skeleton import skeleton, validate_component
from wasm.components.component_texts import ALL

MUTATIONS = int(os.environ.get("COMPONENT_MUTATIONS", "4000"))
ENGINE_LOOKS = 10
"""The engine is asked about one in so many of those that were taken apart: it takes much longer."""


def mutated(data: bytes, random: Random) -> bytes:
    """The same bytes but for a few: flipped, cut out, put twice, put elsewhere, or cut off."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        at = random.randrange(len(changed) + 1) if changed else 0
        size = random.choice((1, 1, 2, 4, 16, 64))
        match random.randrange(7):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random.randrange(8)
            case 1 if at < len(changed):
                changed[at] = random.choice((0, 1, 2, 0x7F, 0x80, 0xFF, random.randrange(256)))
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size]
            case 4:
                there = random.randrange(len(changed) + 1)
                changed[at : at + size] = changed[there : there + size]
            case 5:
                changed[at:at] = random.randbytes(size)
            case _ if random.randrange(4) == 0:
                del changed[at:]
    return bytes(changed)


def sources(blueprint: Blueprint) -> Iterator[tuple[Source | None, int]]:
    """Every place that something comes from, and how many steps were made before it is asked for."""
    whole = len(blueprint.steps)
    for number, step in enumerate(blueprint.steps):
        assert 0 <= step.module < blueprint.modules
        yield from ((argument.source, number) for argument in step.arguments)
    for each in (*blueprint.functions, *blueprint.exports):
        if not isinstance(each, Lowered) and not hasattr(each, "options"):
            continue
        options = each.options
        yield from ((source, whole) for source in (options.memory, options.realloc, options.post_return))
    yield from ((each.function, whole) for each in blueprint.exports)


def require_sound(blueprint: Blueprint) -> None:
    """Raises AssertionError unless every number is one of something that is there."""
    for source, before in sources(blueprint):
        if isinstance(source, Export):
            assert 0 <= source.instance < before
        elif isinstance(source, Host):
            assert 0 <= source.function < len(blueprint.functions)


def test_mutants(seed: int) -> None:
    """Each is taken apart into a plan that holds together, or refused with a sentence."""
    random = Random(seed)  # noqa: S311 - no secret
    originals = [wat(text) for text in ALL]
    engine = wasmtime.Engine()
    taken = valid = 0
    for _ in range(MUTATIONS):
        data = mutated(random.choice(originals), random)
        try:
            blueprint, modules = read(data)
        except CompileError:
            continue
        require_sound(blueprint)
        assert blueprint.modules == len(modules)
        taken += 1
        if taken % ENGINE_LOOKS == 0:
            try:
                validate_component(engine, data)
                valid += 1
            except CompileError:
                continue
    assert taken > MUTATIONS // 100
    assert valid


@pytest.mark.parametrize("text", ALL, ids=range(len(ALL)))
def test_a_skeleton_is_as_valid_as_the_whole(text: str) -> None:
    """Without its code a component is smaller, and the engine takes it as it takes the whole."""
    data, engine = wat(text), wasmtime.Engine()
    bones = skeleton(data)

    assert len(bones) <= len(data)
    Whole(engine, data).close()
    Whole(engine, bones).close()
    validate_component(engine, data)


WRONG = {
    "a type of another shape": ("(param i32 i64 i32)", "(param i32 i32 i32)"),
    "an export that is not there": ('"cabi_realloc"', '"cabi_other"'),
    "a result too many": (
        '(func (param "self" $self) (param "len" u64) (result $outcome))',
        '(func (param "len" u64))',
    ),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_what_the_engine_refuses_is_refused(change: tuple[str, str]) -> None:
    """A skeleton hides no mistake of the component's own structure."""
    before, after = change
    assert before in ALL[0]
    data = wat(ALL[0].replace(before, after, 1))
    engine = wasmtime.Engine()
    with pytest.raises(wasmtime.WasmtimeError):
        Whole(engine, data)
    with pytest.raises(CompileError, match="is not valid"):
        validate_component(engine, data)
