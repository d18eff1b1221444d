"""wasi:http/types, `fields`: header and trailer fields as a guest reads and makes them.

Names and values of a guest come in, checked as RFC 9110 section 5 wants them; pairs go out.
It must never take a name that belongs to the connection, nor keep more than the limits say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from serverless_wasm.abi.response import is_field
from serverless_wasm.abi.wasi_http.interface import Ok, Refusal, Resource, function, method, own
from serverless_wasm.abi.wasi_http.ledger import Ledger
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.errors import HostLimit
from serverless_wasm.limits import Limits
from serverless_wasm.wasm.components.types import BOOL, BYTES, STRING, ListOf, Result, TupleOf, Variant

Pair = tuple[str, bytes]
Pairs = tuple[Pair, ...]

HEADER_ERROR = Variant((("invalid-syntax", None), ("forbidden", None), ("immutable", None)))

FORBIDDEN = frozenset(
    {
        "connection",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
    }
)
"""What no guest sees or sets: fields of one connection (RFC 9110 section 7.6.1), and the authority."""

_PAIR_COST = 150
"""Bytes that a pair takes here beside its name and its value."""


class Fields(Resource):
    """Pairs in their order, names as they were written.

    Other hosts let a guest drop a message before its fields, so these depend on nothing.
    """

    __slots__ = ("_cost", "_ledger", "_size", "is_mutable", "pairs")
    name = "wasi:http/types/fields"

    def __init__(self, pairs: Pairs = (), *, is_mutable: bool = False, ledger: Ledger | None = None) -> None:
        super().__init__()
        self._cost = self._size = 0
        self._ledger = ledger
        self.is_mutable = is_mutable
        self.pairs = pairs

    def values(self, name: str) -> list[bytes]:
        """Every value of a field, in order."""
        wanted = name.lower()
        return [value for each, value in self.pairs if each.lower() == wanted]

    def change(self, pairs: Pairs, limits: Limits) -> None:
        """Has these from now on; raises HostLimit for more than there may be."""
        self._hold(sum(len(name) + len(value) for name, value in pairs), len(pairs), limits)
        self.pairs = pairs

    def add(self, name: str, value: bytes, limits: Limits) -> None:
        """Has one more; raises HostLimit as `change` does."""
        self._hold(self._size + len(name) + len(value), len(self.pairs) + 1, limits)
        self.pairs = (*self.pairs, (name, value))

    def _hold(self, size: int, count: int, limits: Limits) -> None:
        if count > limits.response_headers:
            raise HostLimit(f"response_headers: more than {limits.response_headers}")
        if size > limits.response_header_bytes:
            raise HostLimit(f"response_header_bytes: more than {limits.response_header_bytes}")
        cost = size + _PAIR_COST * count
        if self._ledger is not None:
            self._ledger.spend(cost - self._cost)
        self._cost, self._size = cost, size

    def drop(self) -> None:
        """Gives back what it has taken."""
        if self._ledger is not None:
            self._ledger.spend(-self._cost)
        self._cost = 0


def received(fields: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """Those of a message that came in, without what is forbidden and what is said to be the connection's."""
    pairs = tuple((name.decode("latin-1"), value) for name, value in fields)
    said = b",".join(value for name, value in pairs if name.lower() == "connection")
    hidden = FORBIDDEN.union(option.strip().lower() for option in said.decode("latin-1").split(","))
    return tuple(pair for pair in pairs if pair[0].lower() not in hidden)


def sent(pairs: Pairs) -> list[tuple[bytes, bytes]]:
    """Fields of a guest as they go out, without white space around values (RFC 9110 section 5.5)."""
    return [(name.encode(), value.strip(b" \t")) for name, value in pairs]


def declared_size(fields: Fields) -> int | None:
    """What they say of the body's size; raises ValueError if that is no number, or several."""
    values = fields.values("content-length")
    if not values:
        return None
    if len(values) > 1 or not values[0].isdigit() or len(values[0]) > 19:
        raise ValueError("Content-Length is no number")
    return int(values[0])


def _judge(name: str, values: Sequence[bytes] = ()) -> None:
    """Raises Refusal for what cannot stand in a head, or is not the guest's."""
    raw = name.encode()
    for value in values or (b"",):
        if not is_field(raw, value):
            raise Refusal(("invalid-syntax", None))
    if name.lower() in FORBIDDEN:
        raise Refusal(("forbidden", None))


def _require_mutable(fields: Fields) -> None:
    if not fields.is_mutable:
        raise Refusal(("immutable", None))


def _without(fields: Fields, name: str) -> Pairs:
    unwanted = name.lower()
    return tuple(pair for pair in fields.pairs if pair[0].lower() != unwanted)


def new_fields(world: World) -> Fields:
    return Fields(is_mutable=True, ledger=world.ledger)


def from_list(world: World, entries: list[Pair]) -> Ok:
    for name, value in entries:
        _judge(name, (value,))
    fields = new_fields(world)
    fields.change(tuple(entries), world.invocation.grants.limits)
    return Ok(fields)


def get(world: World, fields: Fields, name: str) -> list[bytes]:
    return fields.values(name)


def has(world: World, fields: Fields, name: str) -> bool:
    return bool(fields.values(name))


def set_values(world: World, fields: Fields, name: str, values: list[bytes]) -> Ok:
    _judge(name, values)
    _require_mutable(fields)
    pairs = (*_without(fields, name), *((name, value) for value in values))
    fields.change(pairs, world.invocation.grants.limits)
    return Ok()


def delete(world: World, fields: Fields, name: str) -> Ok:
    _judge(name)
    _require_mutable(fields)
    fields.change(_without(fields, name), world.invocation.grants.limits)
    return Ok()


def append(world: World, fields: Fields, name: str, value: bytes) -> Ok:
    _judge(name, (value,))
    _require_mutable(fields)
    fields.add(name, value, world.invocation.grants.limits)
    return Ok()


def entries(world: World, fields: Fields) -> list[Pair]:
    return list(fields.pairs)


def clone(world: World, fields: Fields) -> Fields:
    copy = new_fields(world)
    copy.change(fields.pairs, world.invocation.grants.limits)
    return copy


_NAME = ("name", STRING)
_ENTRIES = ListOf(TupleOf((STRING, BYTES)))
_DONE = Result(None, HEADER_ERROR)
FUNCTIONS = (
    function("[constructor]fields", new_fields, gives=own(Fields)),
    function(
        "[static]fields.from-list", from_list, ("entries", _ENTRIES), gives=Result(own(Fields), HEADER_ERROR)
    ),
    method(Fields, "get", get, _NAME, gives=ListOf(BYTES)),
    method(Fields, "has", has, _NAME, gives=BOOL),
    method(Fields, "set", set_values, _NAME, ("value", ListOf(BYTES)), gives=_DONE),
    method(Fields, "delete", delete, _NAME, gives=_DONE),
    method(Fields, "append", append, _NAME, ("value", BYTES), gives=_DONE),
    method(Fields, "entries", entries, gives=_ENTRIES),
    method(Fields, "clone", clone, gives=own(Fields)),
)
