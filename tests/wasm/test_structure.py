"""What a module may be made of: honest ones pass, bombs are refused, any bytes are read or refused."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import Sandbox, wat
from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.binary import MODULE
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.structure import check
from zoo.cards import Guest, read_all
from zoo.generated import BOMBS, functions, g12_nested_conditions, module, number, sized, vector

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*/*.wasm"))
RICH = wat(
    """(module (type $two (func (param i32 i64) (result f32 f64)))
      (import "env" "f" (func $f (param i32))) (import "env" "t" (table 1 9 funcref))
      (import "env" "g" (global (mut i64)))
      (table $own 3 funcref) (memory (export "memory") 1 2)
      (global i32 (i32.add (i32.const 4) (i32.const -5))) (global v128 (v128.const i64x2 1 2))
      (global funcref (ref.func $h)) (global f64 (f64.const 1.5)) (global externref (ref.null extern))
      (elem (i32.const 0) $h $f) (elem $later funcref (ref.func $h) (ref.null func)) (elem declare func $h)
      (elem (table $own) (i32.const 1) func $h)
      (data (i32.const -8) "far") (data (i32.const 0) "near") (data $passive "later")
      (func $h (export "handle") (param i32) (local i32 i32 i64)
        (block (loop (br_if 1 (local.get 0)) (br_table 0 1 (local.tee 1 (i32.const 300000)))))
        (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.rotl (i32.const 1) (i32.const 2))))
        (drop) (call $f (local.get 0)) (call_indirect (param i32) (i32.const 1) (i32.const 0))
        (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop $passive)
        (table.init $later (i32.const 0) (i32.const 0) (i32.const 1))
        (drop (memory.grow (i32.const 1)))
        (drop (select (result i64) (i64.const 1) (i64.const 2) (i32.const 0)))
        (v128.store offset=70000 (i32.const 0) (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
          (v128.load8_lane 3 (i32.const 0) (v128.const i64x2 0 0)) (v128.const i32x4 1 2 3 4)))))"""
)
"""Something of everything that guests may have."""
_CODE = vector([sized(b"\0\x0b")])
_TYPES = vector([b"\x60\0\0"])
_NOTHING = {1: _TYPES, 3: b"\x01\0"}


def _wide(parameters: int, results: int) -> bytes:
    return module({1: vector([b"\x60" + vector([b"\x7f"] * parameters) + vector([b"\x7f"] * results)])})


def _globals(expression: bytes, count: int = 1) -> bytes:
    return module({6: vector([b"\x7f\0" + expression] * count)})


def _tables(kind: int, count: int) -> bytes:
    return module({kind: vector([{4: b"\x70\0\0", 5: b"\0\0"}[kind]] * count)})


SMALLER = {
    "types": (module({1: vector([b"\x60\0\0"] * 11)}), "has 11 types, 10 are allowed"),
    "functions": (functions([b"\0\x0b"] * 11), "has 11 functions, 10 are allowed"),
    "tables": (_tables(4, 11), "has 11 tables, 10 are allowed"),
    "memories": (_tables(5, 11), "has 11 memories, 10 are allowed"),
    "globals": (_globals(b"\x41\0\x0b", 11), "has 11 globals, 10 are allowed"),
    "element_segments": (module({9: vector([b"\1\0\0"] * 11)}), "has 11 element segments, 10 are allowed"),
    "elements": (module({9: vector([b"\1\0" + vector([b"\0"] * 6)] * 2)}), "has 12 elements, 10 are allowed"),
    "data_segments": (module({11: vector([b"\1\0"] * 11)}), "has 11 data segments, 10 are allowed"),
    "custom_sections": (MODULE + (b"\0" + sized(sized(b"x"))) * 11, "has 11 custom sections, 10 are allowed"),
    "name_bytes": (
        module({2: vector([sized(b"x" * 11) + b"\0\x03\x7f\0"])}),
        "has 11 bytes in an import's name, 10 are allowed",
    ),
    "parameters": (_wide(11, 0), "has 11 parameters in type 0, 10 are allowed"),
    "results": (_wide(0, 11), "has 11 results in type 0, 10 are allowed"),
    "expression_bytes": (
        _globals(b"\x41\0" + b"\x41\0\x6a" * 3 + b"\x0b"),
        "has a constant expression that is unknown or of more than 10 bytes",
    ),
    "function_locals": (
        functions([b"\1\x0b\x7f\x0b"]),
        "has 11 local variables in function 0, 10 are allowed",
    ),
    "locals": (functions([b"\1\x06\x7f\x0b"] * 2), "has 12 local variables, 10 are allowed"),
    "function_bytes": (
        functions([b"\0" + b"\1" * 9 + b"\x0b"]),
        "has 11 bytes in function 0, 10 are allowed",
    ),
    "nesting": (functions([b"\0" + b"\2\x40" * 11 + b"\x0b" * 12]), "has 11 nested blocks in function 0"),
    "loop_nesting": (functions([b"\0" + b"\3\x40" * 11 + b"\x0b" * 12]), "has 11 nested loops in function 0"),
    "block_values": (
        functions([b"\0" + b"\2\x7f\0\x0b" * 11 + b"\x0b"]),
        "has 11 values between blocks in function 0, 10 are allowed",
    ),
    "branch_targets": (
        functions([b"\0\x41\0\x0e\x0b" + bytes(12) + b"\x0b"]),
        "has 11 branch targets in function 0, 10 are allowed",
    ),
    "function_work": (functions([b"\0" + b"\1" * 20 + b"\x0b"]), "to compile function 0, 0.0 are allowed"),
    "work": (functions([b"\0\x0b"] * 2), "seconds or more to compile, 0.0 are allowed for its 40 bytes"),
}
"""For each limit a module that is beyond ten of it."""


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_pass_with_room_to_spare(path: Path) -> None:
    """An honest module needs a small part of what it is allowed."""
    data = path.read_bytes()

    assert check(data) * 10 < ModuleLimits().allowed_work(len(data))


def test_modules_with_something_of_everything_pass(sandbox: Sandbox) -> None:
    """What the engine takes is read to its end, instruction by instruction."""
    assert check(RICH) > 0
    assert sandbox.compiler.compile(RICH).export("handle")


@pytest.mark.parametrize("guest", [*read_all()], ids=lambda guest: guest.name)
def test_guests_of_the_zoo_are_not_refused_for_their_size(guest: Guest) -> None:
    """They are hostile in other ways; some use a feature that is off, which the engine refuses."""
    if guest.refused == "is not valid":
        _read(guest.module)
    else:
        assert check(guest.module) < 100_000


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_every_bomb_is_refused_with_its_reason(bomb: Callable[[], bytes]) -> None:
    """The reason names the limit, what was found and what is allowed."""
    (reason,) = (
        line.removeprefix("refused: ")
        for line in (inspect.getdoc(bomb) or "").splitlines()
        if line.startswith("refused: ")
    )

    with pytest.raises(CompileError) as caught:
        check(bomb())

    assert reason in str(caught.value)


def test_what_looks_like_a_bomb_but_is_none_passes() -> None:
    """20,000 conditions within each other compile in a moment."""
    assert check(g12_nested_conditions()) < 1_000_000


@pytest.mark.parametrize("limit", SMALLER)
def test_every_limit_holds_and_says_so(limit: str) -> None:
    """One more than is allowed is refused with the limit's name and both numbers; as many pass."""
    data, reason = SMALLER[limit]
    values = {"work": 10, "base_work": 10} if limit == "work" else {limit: 10}

    with pytest.raises(CompileError) as caught:
        check(data, ModuleLimits(**values))

    assert reason in str(caught.value)
    assert check(data) >= 0


@pytest.mark.parametrize(("limit", "data"), [
    ("imports", module({2: vector([sized(b"e") + sized(b"g") + b"\3\x7f\0"] * 11)})),
    ("exports", module({7: vector([sized(b"%d" % at) + b"\0\0" for at in range(11)])})),
])  # fmt: skip
def test_every_vector_is_counted_before_it_is_read(limit: str, data: bytes) -> None:
    """A count of eleven is enough, whatever follows."""
    with pytest.raises(CompileError, match=f"has 11 {limit}, 10 are allowed"):
        check(data, ModuleLimits(**{limit: 10}))


def test_segments_far_from_each_other_cost_more() -> None:
    """They are no image of the memory, but code each."""
    near, far = (
        check(module(_NOTHING | {5: b"\1\0\1", 10: _CODE, 11: vector(segments)}))
        for segments in ([_data(b"\0"), _data(b"\1")], [_data(b"\0"), _data(b"\x80\x80\x80\x80\x04")])
    )

    assert far > near


def _data(offset: bytes) -> bytes:
    return b"\0\x41" + offset + b"\x0b" + sized(b"x")


@pytest.mark.parametrize("data", [
    functions([b"\0\x08\0\x0b"]),  # throw
    functions([b"\0\xfe\x10\2\0\x0b"]),  # an atomic load
    functions([b"\0\xfb\0\0\x0b"]),  # struct.new
    functions([b"\0"]),  # no end
    functions([b"\0\x0b\x0b"])[:-1],
    functions([b"\0\x41\0\x0e" + number(2**60) + b"\x0b"]),
    functions([b"\0\x10\x05\x0b"]),
    module({1: b"\1\x5f\0"}),  # a struct
    module({3: b"\1\0"}),
    module({3: b"\0", 10: _CODE}),
    module(_NOTHING | {10: vector([number(2**40) + b"\0\x0b"])}),
    module({9: vector([b"\0\x41\0\x0b" + number(2**62)])}),
    _globals(b"\x10\0\x0b"),
    _globals(b""),
])  # fmt: skip
def test_what_is_unknown_or_broken_is_refused(data: bytes) -> None:
    """One visible line."""
    with pytest.raises(CompileError) as caught:
        check(data)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def _read(data: bytes) -> None:
    """Any bytes give work or CompileError, and nothing else."""
    try:
        assert check(data) >= 0
    except CompileError:
        return


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(rest: bytes) -> None:
    """No byte string makes the check fail in another way."""
    _read(MODULE + rest)


@settings(max_examples=300)
@given(st.sampled_from(range(1, 13)), st.binary(max_size=200))
def test_any_section_is_read_or_refused(kind: int, payload: bytes) -> None:
    """Of any kind, with any content, before a section of code that would use it."""
    _read(module({kind: payload}))
    _read(module({1: _TYPES, 3: b"\x01\0", 10: payload} if kind == 10 else {kind: payload, 10: _CODE}))


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_any_instructions_are_read_or_refused(code: bytes) -> None:
    """In the body of a function."""
    _read(functions([b"\x01\x02\x7f" + code + b"\x0b"]))


def test_a_good_module_with_any_byte_changed_is_read_or_refused() -> None:
    """Each byte in turn, in every way that matters: more, less, the highest bit, all of them; or cut."""
    for at in range(len(MODULE), len(RICH)):
        byte = RICH[at]
        for other in {0, 0xFF, byte ^ 0x80, byte ^ 1, (byte + 1) % 256, (byte - 1) % 256}:
            _read(RICH[:at] + bytes([other]) + RICH[at + 1 :])
        _read(RICH[:at])


@pytest.mark.parametrize("piece", [
    b"\x01", b"\x20\0", b"\x21\0", b"\x02\x40\x0b", b"\x41\0\x04\x40\x0b", b"\x0d\0", b"\x0e\0\0", b"\x10\0",
    b"\x77", b"\x42" + b"\xff" * 9 + b"\0", b"\xfd\x0e", b"\xfc\x0b\0",
], ids=bytes.hex)  # fmt: skip
def test_time_is_in_proportion_to_the_bytes(piece: bytes) -> None:
    """Eight times the code takes about eight times as long, not sixty-four times."""
    small, large = (functions([b"\0" + piece * (size // len(piece)) + b"\x0b"]) for size in (40_000, 320_000))

    assert min(_seconds(large) for _ in range(3)) < 24 * max(0.001, min(_seconds(small) for _ in range(5)))


def _seconds(data: bytes) -> float:
    start = time.thread_time()
    _read(data)
    return time.thread_time() - start
