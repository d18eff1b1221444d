"""Values cross by the canonical ABI: what is stored is loaded alike; nothing a guest makes up is believed."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.abi.wasi_http.interface import ANSWERS, Err, Ok, Resource
from serverless_wasm.errors import GuestTrap, HostLimit
from serverless_wasm.wasm.components.canonical import MOST_ITEMS, Codecs
from serverless_wasm.wasm.components.codec import MOST_BYTES, aligned
from serverless_wasm.wasm.components.types import (
    BOOL,
    BYTES,
    STRING,
    U8,
    U16,
    U32,
    U64,
    Borrow,
    Enum,
    Flags,
    ListOf,
    Option,
    Own,
    Primitive,
    Record,
    Result,
    TupleOf,
    Type,
    Variant,
)


class Area:
    """Memory of so many bytes, with an allocator that gives what it is told to, or the next free place."""

    def __init__(self, size: int = 1 << 16) -> None:
        self.data = bytearray(size)
        self.size = size
        self.memory: Any = self
        self.handles: Any = Table()
        self.next = 64
        self.gives: int | None = None
        self.left = MOST_BYTES

    def allocate(self, size: int, align: int) -> int:
        if self.gives is not None:
            return self.gives
        at = aligned(self.next, align)
        self.next = at + size
        return at

    def require(self, start: int, size: int) -> None:
        if start + size > self.size:
            raise GuestTrap("memory_bounds")


class Table:
    """Handles, each of whatever resource is asked for."""

    def __init__(self) -> None:
        self.there: dict[int, Any] = {}

    def add(self, resource: Any) -> int:
        self.there[len(self.there) + 1] = resource
        return len(self.there)

    def get(self, number: int, _name: str) -> Any:
        return self.there[number]

    take = get


NUMBERS = {
    "s8": (-128, 127), "u8": (0, 255), "s16": (-(2**15), 2**15 - 1), "u16": (0, 2**16 - 1),
    "s32": (-(2**31), 2**31 - 1), "u32": (0, 2**32 - 1), "s64": (-(2**63), 2**63 - 1), "u64": (0, 2**64 - 1),
}  # fmt: skip
CHARACTERS = st.characters(codec="utf-8")
TEXT = st.text(CHARACTERS, max_size=8)
Pair = tuple[Type, st.SearchStrategy[Any]]


def integer(name: Any) -> Pair:
    low, high = NUMBERS[name]
    return Primitive(name), st.integers(low, high)


LEAVES: list[Pair] = [
    *(integer(name) for name in NUMBERS),
    (BOOL, st.booleans()),
    (STRING, TEXT),
    (BYTES, st.binary(max_size=16)),
    (Primitive("char"), CHARACTERS),
    (Enum(("a", "b", "c")), st.sampled_from("abc")),
    (Enum(tuple(map(str, range(300)))), st.integers(0, 299).map(str)),
    (Flags(tuple("abcdefghij")), st.frozensets(st.sampled_from("abcdefghij"))),
    (Flags(("x",)), st.frozensets(st.just("x"))),
    (Result(), st.sampled_from([Ok(), Err()])),
]


def listed(pair: Pair) -> Pair:
    return ListOf(pair[0]), st.lists(pair[1], max_size=3) if pair[0] != U8 else st.binary(max_size=3)


def optional(pair: Pair) -> Pair:
    """Nested options look alike in Python: no interface has any."""
    kind, values = pair
    return pair if isinstance(kind, Option) else (Option(kind), st.none() | values)


def tupled(pairs: list[Pair]) -> Pair:
    return TupleOf(tuple(kind for kind, _ in pairs)), st.tuples(*(values for _, values in pairs))


def recorded(pairs: list[Pair]) -> Pair:
    kinds, values = tupled(pairs)
    assert isinstance(kinds, TupleOf)
    return Record(tuple((f"f{at}", kind) for at, kind in enumerate(kinds.items))), values


def varied(pairs: list[Pair]) -> Pair:
    cases = tuple((f"c{at}", kind) for at, (kind, _) in enumerate(pairs))
    values = [st.tuples(st.just(f"c{at}"), values) for at, (_, values) in enumerate(pairs)]
    return Variant((*cases, ("none", None))), st.one_of(st.just(("none", None)), *values)


def resulted(pairs: list[Pair]) -> Pair:
    (ok, oks), (error, errors) = (pairs + pairs)[:2]
    return Result(ok, error), oks.map(Ok) | errors.map(Err)


def deeper(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    several = st.lists(inner, min_size=1, max_size=4)
    alone = [inner.map(make) for make in (listed, optional)]
    return st.one_of(*alone, *(several.map(make) for make in (tupled, recorded, varied, resulted)))


PAIRS = st.recursive(st.sampled_from(LEAVES), deeper, max_leaves=6)


@given(PAIRS.flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])))
def test_what_is_stored_is_loaded(pair: tuple[Type, Any]) -> None:
    """Of any type and value, the bytes of it have the size that the type says."""
    kind, value = pair
    codec, area = Codecs(ANSWERS).of(kind), Area()

    data = codec.store(area, value)

    assert codec.size == len(data)
    assert codec.size % codec.align == 0
    assert value == codec.load(area, b"\xee" * codec.size + data, codec.size)


@given(PAIRS.flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1])))
def test_what_is_one_core_value_is_lifted(pair: tuple[Type, Any]) -> None:
    """A value that is passed as one number comes back from it."""
    kind, value = pair
    codec, area = Codecs(ANSWERS).of(kind), Area()
    if len(codec.flat) == 1:
        assert value == codec.lift(area, [int(codec.lower(area, value)) & (2**64 - 1)], 0)


@given(PAIRS, st.binary(min_size=600, max_size=600), st.lists(st.integers(0, 2**64 - 1), min_size=80))
def test_whatever_a_guest_makes_up(pair: Pair, data: bytes, numbers: list[int]) -> None:
    """Bytes and numbers of no meaning are a value, or end the guest."""
    codec, area = Codecs(ANSWERS).of(pair[0]), Area()
    if codec.size > len(data) or len(codec.flat) > len(numbers):
        return
    with suppress(GuestTrap, HostLimit):
        codec.load(area, data, 0)
    with suppress(GuestTrap, HostLimit):
        codec.lift(area, numbers, 0)


@pytest.mark.parametrize(
    ("kind", "size", "align", "flat"),
    [
        (TupleOf((U8, U32, U8)), 12, 4, ("i32", "i32", "i32")),
        (Variant((("a", None), ("b", U64))), 16, 8, ("i32", "i64")),
        (Variant((("a", STRING), ("b", U64))), 16, 8, ("i32", "i64", "i32")),
        (Option(U8), 2, 1, ("i32", "i32")),
        (Result(None, Enum(("x",))), 2, 1, ("i32", "i32")),
        (Flags(tuple(map(str, range(17)))), 4, 4, ("i32",)),
        (Record((("s", U64), ("n", U32))), 16, 8, ("i64", "i32")),
        (TupleOf(()), 0, 1, ()),
    ],
)
def test_layout(kind: Type, size: int, align: int, flat: tuple[str, ...]) -> None:
    """Sizes, alignments and core values are those of CanonicalABI.md."""
    codec = Codecs(ANSWERS).of(kind)

    assert (size, align, flat) == (codec.size, codec.align, codec.flat)


def test_places_within() -> None:
    """A field lies at a multiple of its alignment, a payload behind the widest tag and case."""
    area = Area()

    record = Codecs(ANSWERS).of(TupleOf((U8, U16, U32))).store(area, (1, 2, 3))
    variant = Codecs(ANSWERS).of(Variant((("a", U8), ("b", U64)))).store(area, ("a", 7))

    assert struct.pack("<BxHI", 1, 2, 3) == record
    assert struct.pack("<B7xB7x", 0, 7) == variant


@pytest.mark.parametrize(
    ("kind", "numbers", "says"),
    [
        (STRING, (0, 70_000), "memory_bounds"),
        (BYTES, (2**32 - 1, 2), "memory_bounds"),
        (ListOf(U32), (2, 1), "no multiple of 4"),
        (ListOf(U32), (0, 2**14 + 1 - 2**14 + MOST_ITEMS), "at most"),
        (BYTES, (0, MOST_BYTES + 1), "more than"),
        (Enum(("a",)), (1,), "case 1 of 1"),
        (Option(U8), (2, 0), "case 2 of 2"),
        (Primitive("char"), (0xD800,), "no character"),
        (Primitive("char"), (0x110000,), "no character"),
    ],
)
def test_what_ends_a_guest(kind: Type, numbers: tuple[int, ...], says: str) -> None:
    """Each is refused with its reason."""
    with pytest.raises((GuestTrap, HostLimit), match=says):
        Codecs(ANSWERS).of(kind).lift(Area(), numbers, 0)


def test_the_same_bytes_again_and_again() -> None:
    """What is named a thousand times is copied a thousand times, so it counts as often."""
    area = Area()
    for at in range(1000):
        struct.pack_into("<II", area.data, at * 8, 0, 60_000)
    with pytest.raises(HostLimit, match="more than"):
        Codecs(ANSWERS).of(ListOf(BYTES)).lift(area, (0, 1000), 0)


def test_a_text_that_is_none() -> None:
    """What is not UTF-8 ends the guest."""
    area = Area()
    area.data[0:2] = b"\xc3\x28"
    with pytest.raises(GuestTrap, match="not UTF-8"):
        Codecs(ANSWERS).of(STRING).lift(area, (0, 2), 0)


@pytest.mark.parametrize(
    ("gives", "says"), [(65_532, "memory_bounds"), (2**32 - 1, "bounds|multiple"), (3, "multiple")]
)
def test_an_allocator_that_lies(gives: int, says: str) -> None:
    """Room that is outside the memory, or not aligned, is no room."""
    area = Area()
    area.gives = gives
    with pytest.raises(GuestTrap, match=says):
        Codecs(ANSWERS).of(ListOf(U32)).store(area, [1, 2])


def test_handles() -> None:
    """A handle is its resource, lent or handed over."""
    area, codecs, resource = Area(), Codecs(ANSWERS), Resource()
    for kind in (Own("a/b"), Borrow("a/b")):
        number = codecs.of(kind).lower(area, resource)
        assert resource is codecs.of(kind).lift(area, [number], 0)
        assert resource is codecs.of(kind).load(area, codecs.of(kind).store(area, resource), 0)
