"""How a value of one type crosses between a guest's memory and the host: numbers, texts, bytes.

Core values or a guest's bytes come in, and a value of Python goes out; or the other way round.
It must never trust a pointer or a length that a guest made up.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from serverless_wasm.errors import GuestTrap, HostLimit
from serverless_wasm.limits import MIB
from serverless_wasm.wasm.memory import Memory

MOST_BYTES = 16 * MIB
"""Of all texts and lists of one call: each is copied as often as it is named, and the loop waits for that."""
_EACH = 256
"""What a text or a list costs however short it is: it is an object of Python."""
Numbers = Sequence[int | float]
"""Core values, unsigned."""


class Handles(Protocol):
    """The table of a guest's handles."""

    def add(self, resource: Any) -> int: ...
    def get(self, number: int, name: str) -> Any: ...
    def take(self, number: int, name: str) -> Any: ...


class Crossing(Protocol):
    """What values of one guest are read from and written to; `left` are bytes of the call under way."""

    left: int

    @property
    def handles(self) -> Handles: ...
    @property
    def memory(self) -> Memory: ...
    def allocate(self, size: int, align: int) -> int: ...


class Codec:
    """The values of one type.

    `flat` are the core values that it is passed as; in memory it has `size` bytes from a multiple of `align`.
    """

    size = 4
    align = 4
    flat: tuple[str, ...] = ("i32",)
    packs = ""
    """How `struct` writes what `lower` gives, if that is all there is to `store`."""
    points = False
    """Whether a value has parts elsewhere in memory."""

    def lift(self, crossing: Crossing, numbers: Numbers, at: int) -> Any:
        """The value of the core values from `at` on."""
        raise NotImplementedError

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        """The value whose bytes begin at `at`."""
        raise NotImplementedError

    def lower(self, crossing: Crossing, value: Any) -> int | float:
        """The one core value of a value; only of types whose `flat` has one."""
        raise NotImplementedError

    def store(self, crossing: Crossing, value: Any) -> bytes:
        """The bytes of a value; what they point to is in the guest's memory already."""
        raise NotImplementedError


class Number(Codec):
    """An integer or a float; `fits` makes one of a core value, which may be wider."""

    def __init__(self, form: str, core: str, fits: Callable[[Any], Any]) -> None:
        self._struct = struct.Struct("<" + form)
        self.packs = form
        self.size = self.align = self._struct.size
        self.flat = (core,)
        self._fits = fits

    def lift(self, crossing: Crossing, numbers: Numbers, at: int) -> Any:
        return self._fits(numbers[at])

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        return self._struct.unpack_from(data, at)[0]

    def lower(self, crossing: Crossing, value: Any) -> int | float:
        number: int | float = value
        return number

    def store(self, crossing: Crossing, value: Any) -> bytes:
        return self._struct.pack(value)


class Bool(Number):
    def __init__(self) -> None:
        super().__init__("?", "i32", bool)


class Char(Number):
    def __init__(self) -> None:
        super().__init__("I", "i32", _character)

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        return _character(self._struct.unpack_from(data, at)[0])

    def lower(self, crossing: Crossing, value: Any) -> int:
        return ord(value)

    def store(self, crossing: Crossing, value: Any) -> bytes:
        return self._struct.pack(ord(value))


def _character(number: int) -> str:
    number &= 0xFFFFFFFF
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        raise GuestTrap(f"canonical ABI: {number:#x} is no character")
    return chr(number)


SPAN = struct.Struct("<II")


class Bytes(Codec):
    """A list of bytes, in one copy."""

    size = 8
    flat = ("i32", "i32")
    points = True

    def lift(self, crossing: Crossing, numbers: Numbers, at: int) -> Any:
        return self._read(crossing, int(numbers[at]) & 0xFFFFFFFF, int(numbers[at + 1]) & 0xFFFFFFFF)

    def load(self, crossing: Crossing, data: bytes, at: int) -> Any:
        return self._read(crossing, *SPAN.unpack_from(data, at))

    def store(self, crossing: Crossing, value: Any) -> bytes:
        return SPAN.pack(write(crossing, value, 1), len(value))

    def _read(self, crossing: Crossing, start: int, size: int) -> Any:
        return read(crossing, start, size)


class Text(Bytes):
    """A string, which is UTF-8."""

    def store(self, crossing: Crossing, value: Any) -> bytes:
        return super().store(crossing, value.encode())

    def _read(self, crossing: Crossing, start: int, size: int) -> Any:
        try:
            return super()._read(crossing, start, size).decode()
        except UnicodeDecodeError:
            raise GuestTrap("canonical ABI: a string is not UTF-8") from None


def aligned(at: int, align: int) -> int:
    """The first multiple of `align` from `at` on."""
    return -(-at // align) * align


def require_inside(crossing: Crossing, start: int, codec: Codec) -> None:
    """Raises GuestTrap unless a value of the codec can lie there."""
    require_aligned(start, codec.align)
    if start + codec.size > crossing.memory.size:
        crossing.memory.require(start, codec.size)


def require_aligned(start: int, align: int) -> None:
    if start % align:
        raise GuestTrap(f"canonical ABI: {start} is no multiple of {align}")


def read(crossing: Crossing, start: int, size: int) -> bytes:
    """The bytes there; raises GuestTrap outside of the memory, HostLimit for too many in one call."""
    crossing.left = left = crossing.left - size - _EACH
    if left < 0:
        raise HostLimit(f"canonical ABI: more than {MOST_BYTES} bytes in one call")
    memory = crossing.memory
    if start + size > memory.size:
        memory.require(start, size)
    data: bytes = memory.data[start : start + size]
    return data


def write(crossing: Crossing, data: bytes, align: int) -> int:
    """Puts bytes where the guest has room for them, and says where that is."""
    start = crossing.allocate(len(data), align)
    require_aligned(start, align)
    memory = crossing.memory
    if start + len(data) > memory.size:
        memory.require(start, len(data))
    memory.data[start : start + len(data)] = data
    return start


def unsigned(bits: int) -> Callable[[Any], Any]:
    mask = (1 << bits) - 1
    return lambda number: number & mask


def signed(bits: int) -> Callable[[Any], Any]:
    mask, half = (1 << bits) - 1, 1 << (bits - 1)
    return lambda number: ((number & mask) ^ half) - half


def as_it_is(number: Any) -> Any:
    return number
