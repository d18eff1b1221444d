"""The canonical ABI's table of types: lists, records, variants, handles (CanonicalABI.md).

Types come in; codecs, made once at deploy, go out: each reads and writes the values of one type.
It must never trust a number of a case, a count or a handle that a guest made up.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from serverless_wasm.errors import GuestTrap, HostLimit
from serverless_wasm.wasm.components.codec import (
    SPAN,
    Bool,
    Bytes,
    Char,
    Codec,
    Crossing,
    Number,
    Numbers,
    Text,
    aligned,
    as_it_is,
    read,
    require_aligned,
    signed,
    unsigned,
    write,
)
from serverless_wasm.wasm.components.types import (
    BYTES,
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

MOST_ITEMS = 10_000
"""Of any other list, each of which is an object of Python."""


@dataclass(frozen=True, slots=True)
class Answers:
    """How a `result` is written down in Python: two classes of one `value` each, and the exception."""

    ok: type[Any]
    error: type[Any]
    refusal: type[Exception]


class _List(Codec):
    """A list of anything but bytes."""

    size = 8
    flat = ("i32", "i32")
    points = True

    def __init__(self, item: Codec) -> None:
        self._item = item

    def lift(self, crossing: Crossing, numbers: Numbers, at: int) -> Any:
        return self._read(crossing, int(numbers[at]) & 0xFFFFFFFF, int(numbers[at + 1]) & 0xFFFFFFFF)

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        return self._read(crossing, *SPAN.unpack_from(data, at))

    def store(self, crossing: Crossing, value: Any) -> bytes:
        item = self._item
        data = b"".join([item.store(crossing, each) for each in value])
        return SPAN.pack(write(crossing, data, item.align), len(value))

    def _read(self, crossing: Crossing, start: int, count: int) -> Any:
        item = self._item
        if count > MOST_ITEMS:
            raise HostLimit(f"canonical ABI: a list of {count} items, at most {MOST_ITEMS}")
        require_aligned(start, item.align)
        data = read(crossing, start, count * item.size)
        return [item.load(crossing, data, at) for at in range(0, len(data), item.size)]


class TupleCodec(Codec):
    """Fields one after the other, each where its alignment wants it."""

    def __init__(self, items: Sequence[Codec]) -> None:
        self._items = items
        self.flat = tuple(core for item in items for core in item.flat)
        self.align = max((item.align for item in items), default=1)
        self.points = any(item.points for item in items)
        self._flats: list[int] = []  # where each begins among the core values, ...
        self._places: list[int] = []  # ... and in memory
        flats = at = 0
        for item in items:
            at = aligned(at, item.align)
            self._flats.append(flats)
            self._places.append(at)
            flats, at = flats + len(item.flat), at + item.size
        self.size = aligned(at, self.align)

    @property
    def lifts(self) -> list[tuple[Callable[[Crossing, Numbers, int], Any], int]]:
        """How each of its fields is lifted, and where its core values begin."""
        return [(item.lift, place) for item, place in zip(self._items, self._flats, strict=True)]

    def lift(self, crossing: Crossing, numbers: Numbers, at: int) -> Any:
        pairs = zip(self._items, self._flats, strict=True)
        return tuple(item.lift(crossing, numbers, at + place) for item, place in pairs)

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        pairs = zip(self._items, self._places, strict=True)
        return tuple(item.load(crossing, data, at + place) for item, place in pairs)

    def lower(self, crossing: Crossing, value: Any) -> int | float:
        (item,) = [item for item in self._items if item.flat]
        return item.lower(crossing, value[self._items.index(item)])

    def store(self, crossing: Crossing, value: Any) -> bytes:
        data = bytearray(self.size)
        for item, place, part in zip(self._items, self._places, value, strict=True):
            data[place : place + item.size] = item.store(crossing, part)
        return bytes(data)


class _Cases(Codec):
    """One of several cases: variant, enum, option and result differ in how they look in Python."""

    def __init__(self, cases: Sequence[Codec | None]) -> None:
        self._cases = cases
        self._tag = _tag(len(cases))
        self.align = max([self._tag.size, *(case.align for case in cases if case)])
        self._place = aligned(self._tag.size, max((case.align for case in cases if case), default=1))
        self.size = aligned(self._place + max((case.size for case in cases if case), default=0), self.align)
        self.flat = ("i32", *_joined([case.flat for case in cases if case]))
        self.points = any(case.points for case in cases if case)
        self._forms = [self._form(case) for case in cases]

    def _form(self, case: Codec | None) -> struct.Struct | None:
        """How a case is written whose payload is one number, or none."""
        if case is not None and not case.packs:
            return None
        form = f"<{self._tag.format[1:]}"
        if case is not None:
            form += f"{self._place - self._tag.size}x{case.packs}"
        return struct.Struct(f"{form}{self.size - struct.calcsize(form)}x")

    def make(self, case: int, payload: Any) -> Any:
        """The value of a case."""
        raise NotImplementedError

    def split(self, value: Any) -> tuple[int, Any]:
        """The case of a value, and its payload."""
        raise NotImplementedError

    def lift(self, crossing: Crossing, numbers: Numbers, at: int) -> Any:
        number = int(numbers[at]) & 0xFFFFFFFF
        case = self._case(number)
        return self.make(number, case.lift(crossing, numbers, at + 1) if case else None)

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        (number,) = self._tag.unpack_from(data, at)
        case = self._case(number)
        return self.make(number, case.load(crossing, data, at + self._place) if case else None)

    def lower(self, crossing: Crossing, value: Any) -> int:
        return self.split(value)[0]

    def store(self, crossing: Crossing, value: Any) -> bytes:
        number, payload = self.split(value)
        case, form = self._cases[number], self._forms[number]
        if case is None:
            return form.pack(number)  # type: ignore[union-attr] # _form has one for it
        if form is not None:
            return form.pack(number, case.lower(crossing, payload))
        data = self._tag.pack(number).ljust(self._place, b"\0") + case.store(crossing, payload)
        return data.ljust(self.size, b"\0")

    def _case(self, number: int) -> Codec | None:
        if number >= len(self._cases):
            raise GuestTrap(f"canonical ABI: case {number} of {len(self._cases)}")
        return self._cases[number]


class _Variant(_Cases):
    """In Python its name and its payload."""

    def __init__(self, names: Sequence[str], cases: Sequence[Codec | None]) -> None:
        super().__init__(cases)
        self._names = names
        self._numbers = {name: number for number, name in enumerate(names)}

    def make(self, case: int, payload: Any) -> Any:
        return self._names[case], payload

    def split(self, value: Any) -> tuple[int, Any]:
        name, payload = value
        return self._numbers[name], payload


class _Enum(_Variant):
    """In Python its name."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(names, [None] * len(names))

    def make(self, case: int, payload: Any) -> Any:
        return self._names[case]

    def split(self, value: Any) -> tuple[int, Any]:
        return self._numbers[value], None


class _Option(_Cases):
    """In Python None, or the value."""

    def __init__(self, item: Codec) -> None:
        super().__init__([None, item])

    def make(self, case: int, payload: Any) -> Any:
        return payload

    def split(self, value: Any) -> tuple[int, Any]:
        return (0, None) if value is None else (1, value)


class _Result(_Cases):
    """In Python an Ok or an Err."""

    def __init__(self, answers: Answers, ok: Codec | None, error: Codec | None) -> None:
        super().__init__([ok, error])
        self._kinds = (answers.ok, answers.error)

    def make(self, case: int, payload: Any) -> Any:
        return self._kinds[case](payload)

    def split(self, value: Any) -> tuple[int, Any]:
        return (0 if isinstance(value, self._kinds[0]) else 1), value.value


class _Flags(Codec):
    """In Python the names of those that are set; what has no name is ignored."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._struct = _tag(1 << len(names) if len(names) <= 16 else 1 << 32)
        self.size = self.align = self._struct.size

    def lift(self, crossing: Crossing, numbers: Numbers, at: int) -> Any:
        return self._make(int(numbers[at]))

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        return self._make(self._struct.unpack_from(data, at)[0])

    def lower(self, crossing: Crossing, value: Any) -> int:
        return sum(1 << place for place, name in enumerate(self._names) if name in value)

    def store(self, crossing: Crossing, value: Any) -> bytes:
        return self._struct.pack(self.lower(crossing, value))

    def _make(self, bits: int) -> Any:
        return frozenset(name for place, name in enumerate(self._names) if bits >> place & 1)


class _Handle(Codec):
    """A resource, lent or handed over."""

    packs = "I"

    def __init__(self, resource: str, *, owned: bool) -> None:
        self._resource = resource
        self._owned = owned

    def lift(self, crossing: Crossing, numbers: Numbers, at: int) -> Any:
        number = int(numbers[at]) & 0xFFFFFFFF
        handles = crossing.handles
        return (handles.take if self._owned else handles.get)(number, self._resource)

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        return self.lift(crossing, struct.unpack_from("<I", data, at), 0)

    def lower(self, crossing: Crossing, value: Any) -> int:
        return crossing.handles.add(value)

    def store(self, crossing: Crossing, value: Any) -> bytes:
        return crossing.handles.add(value).to_bytes(4, "little")


def _joined(flats: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Core values that are wide enough for those of each case."""
    joined: list[str] = []
    for flat in flats:
        for at, core in enumerate(flat):
            if core.startswith("f"):
                _refuse("a float in a variant")
            if at == len(joined):
                joined.append(core)
            elif joined[at] != core:
                joined[at] = "i64"
    return tuple(joined)


def _refuse(what: str) -> NoReturn:
    """No interface of this host has such a type."""
    raise NotImplementedError(what)


def _tag(cases: int) -> struct.Struct:
    """The smallest number that counts so many."""
    return struct.Struct("<B" if cases <= 1 << 8 else "<H" if cases <= 1 << 16 else "<I")


class Codecs:
    """Makes codecs, each once; `answers` has the classes of a `result`."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._made: dict[Type, Codec] = {BYTES: Bytes()}
        self._primitives: dict[str, Codec] = {
            "bool": Bool(),
            "char": Char(),
            "string": Text(),
            "f32": Number("f", "f32", as_it_is),
            "f64": Number("d", "f64", as_it_is),
        }
        for bits, form, core in ((8, "b", "i32"), (16, "h", "i32"), (32, "i", "i32"), (64, "q", "i64")):
            self._primitives[f"s{bits}"] = Number(form, core, signed(bits))
            self._primitives[f"u{bits}"] = Number(form.upper(), core, unsigned(bits))

    def of(self, kind: Type) -> Codec:
        """The codec of a type."""
        codec = self._made.get(kind)
        if codec is None:
            codec = self._made[kind] = self._make(kind)
        return codec

    def tuple_of(self, kinds: Sequence[Type]) -> TupleCodec:
        """The codec of several values together."""
        return TupleCodec([self.of(kind) for kind in kinds])

    def _maybe(self, kind: Type | None) -> Codec | None:
        return None if kind is None else self.of(kind)

    def _make(self, kind: Type) -> Codec:
        match kind:
            case Primitive(name):
                return self._primitives[name]
            case ListOf(item):
                return _List(self.of(item))
            case Record(fields):
                return self.tuple_of([field for _, field in fields])
            case TupleOf(items):
                return self.tuple_of(items)
            case Variant(cases):
                return _Variant([name for name, _ in cases], [self._maybe(case) for _, case in cases])
            case Enum(names):
                return _Enum(names)
            case Flags(names):
                return _Flags(names)
            case Option(item):
                return _Option(self.of(item))
            case Result(ok, error):
                return _Result(self._answers, self._maybe(ok), self._maybe(error))
            case Own(resource):
                return _Handle(resource, owned=True)
            case Borrow(resource):
                return _Handle(resource, owned=False)
