"""What the instructions of a function are counted as, and what they cost."""

from __future__ import annotations

import pytest

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.instructions import Body, Instructions

WIDTHS = [0, 1, 5]
"""How many values type 0, 1, 2 and function 0, 1, 2 take and leave."""


def read(code: bytes, variables: int = 0) -> Body:
    """The body of this code and its end, between bytes that are none of its."""
    whole = b"\xff" + code + b"\x0b\xff"
    return Instructions(whole, WIDTHS, WIDTHS).read(1, len(whole) - 1, variables)


@pytest.mark.parametrize(("code", "counted"), [
    (b"", {}),
    (b"\x01" * 200, {}),
    (b"\x02\x40\x0b", {"nesting": 1, "joints": 1}),
    (b"\x02\x40\x02\x40\x0b\x0b\x02\x40\x0b", {"nesting": 2, "joints": 3}),
    (b"\x03\x40\x03\x40\x0b\x0b", {"nesting": 2, "joints": 2, "loops": 2, "loop_nesting": 2}),
    (b"\x03\x40\x0b\x02\x40\x03\x40\x0b\x0b", {"nesting": 2, "joints": 3, "loops": 2, "loop_nesting": 1}),
    (b"\x41\0\x04\x40\x05\x0b", {"nesting": 1, "joints": 2}),
    (b"\x02\x7f\x0b\x02\x02\x0b\x02\x80\0\x0b", {"nesting": 1, "joints": 3, "block_values": 6}),
    (b"\x0e\x02\0\0\0\x0e\0\0", {"branch_targets": 2}),
    (b"\x0d\0\x0d\x80\0", {"joints": 2}),
    (b"\x10\0", {"charges": 6}),
    (b"\x10\x02\x12\x82\0", {"charges": 42}),
    (b"\x11\x01\0", {"charges": 109, "breaks": 1}),
    (b"\x77\x89", {"charges": 100}),
    (b"\x25\0\x40\0", {"charges": 500, "breaks": 2}),
    (b"\xfc\x0b\0\xfc\x0a\0\0\xfc\x03", {"charges": 140, "breaks": 2}),
    (b"\xfd\x0c" + b"\x0b" * 16 + b"\x44" + b"\x0b" * 8 + b"\x42\x8b\x0b\x41\x0b", {}),
    (b"\xfd\x00\x02\x0b\xfd\x54\x00\x0b\x0b\xfd\xff\x01", {}),
])  # fmt: skip
def test_instructions_are_counted_and_nothing_within_them(code: bytes, counted: dict[str, int]) -> None:
    """Bytes of constants and offsets that look like instructions are none."""
    body = read(code)

    seen = {name: getattr(body, name) for name in counted}
    assert counted == seen
    others = {
        "nesting",
        "loop_nesting",
        "block_values",
        "branch_targets",
        "joints",
        "loops",
        "charges",
        "breaks",
    }
    assert all(getattr(body, name) == 0 for name in others - counted.keys())
    assert len(code) + 1 == body.size


def test_a_variable_is_one_however_its_number_is_written() -> None:
    """Three ways to write 1, and 2."""
    body = read(b"\x21\x01\x22\x81\0\x21\x81\x80\0\x21\x02", variables=3)

    same = read(b"\x21\x01\x22\x01\x01\x21\x01\x01\x01\x21\x02", variables=3)
    assert body.size == same.size
    assert body.work == same.work


@pytest.mark.parametrize("code", [
    b"\x06", b"\x08\0", b"\x14\0", b"\x18\0", b"\xd3", b"\xd5\0", b"\xe0\0", b"\xfb\0\0", b"\xfe\0\0",
    b"\xff", b"\xfc\x12\0", b"\xfd\x80\x03", b"\x1c\x02\x7f\x7f", b"\x41" + b"\xff" * 10 + b"\0", b"\x44\0",
    b"\x10\x03", b"\x02\x03\x0b", b"\x0e\x05\0", b"\x02",
])  # fmt: skip
def test_unknown_and_unfinished_instructions_are_refused(code: bytes) -> None:
    """What the engine was told to refuse is unknown here; the place is told where it helps."""
    with pytest.raises(CompileError, match="is not valid"):
        read(code)


def test_work_grows_with_what_costs_the_compiler() -> None:
    """Each of these is as long as the plain one, and costs more."""
    plain = read(b"\x01" * 6000, variables=100).work
    for piece in (
        b"\x02\x40\x0b", b"\x03\x40\x0b", b"\x77\x77\x77", b"\x10\0\x01", b"\x11\0\0", b"\x21\0\x01",
    ):  # fmt: skip
        assert read(piece * 2000, variables=100).work > plain, piece


@pytest.mark.parametrize(("code", "weight"), [
    (b"\x03\x40\x0b", 9), (b"\x03\x40\x03\x40\x0b\x0b", 19), (b"\x03\x40\x0b\x03\x40\x0b", 18),
])  # fmt: skip
def test_loops_within_each_other_weigh_more(code: bytes, weight: int) -> None:
    """Every variable may have to be passed around in each."""
    assert weight == read(code).loop_weight
    assert read(code, 1000).work >= 1000 * weight


def test_work_of_conditions_grows_with_what_is_set_in_them() -> None:
    """Where ways meet, every variable that was set has a value of its own."""
    without, within = (
        read(piece * 2000).work for piece in (b"\x41\0\x04\x40\1\1\x0b", b"\x41\0\x04\x40\x21\0\x0b")
    )

    assert within > 4 * without
