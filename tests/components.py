"""Components in WebAssembly text: what the code of a guest calls is imported, as the host declares it.

Core functions as text come in, a component goes out. A function of an interface is called by its short name,
`$monotonic-clock.now`, a method `$pollable.block`, a constructor `$fields.new`, and what drops a handle
`$drop.pollable`; they take and give core values, as the canonical ABI flattens them.
It must never check anything: hostile guests are made with it, and the engine says what is no component.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from serverless_wasm.abi.wasi_http.interface import ANSWERS, Function, Interface
from serverless_wasm.wasm.components.canonical import Codecs
from serverless_wasm.wasm.components.lowering import MAX_FLAT_PARAMS
from serverless_wasm.wasm.components.types import (
    Borrow,
    Enum,
    Flags,
    ListOf,
    Option,
    Own,
    Primitive,
    Record,
    Result,
    Signature,
    TupleOf,
    Type,
    Variant,
)

_USED = re.compile(r"\(call \$([a-z0-9-]+\.[a-z0-9-]+)")
_KINDS = re.compile(r"\[(constructor|method|static)\]([a-z0-9-]+)(?:\.(.+))?")
_RELEASED = {"0.2": "0.2.0", "2": "2.0.0"}
_CODECS = Codecs(ANSWERS)
_OPTIONS = "(memory $memory) (realloc (core func $realloc))"
LIBC = """
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 65536))
  (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
    (local $start i32)
    (local.set $start (i32.and
      (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $top (i32.add (local.get $start) (local.get $size)))
    (loop
      (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
        (then (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable)) (br 1))))
    (local.get $start))"""
"""A memory of two pages, whose second one the host is given from; nothing is ever freed."""


@dataclass(frozen=True, slots=True)
class _Import:
    """One function of the host, and the interface that it is of."""

    interface: Interface
    function: Function


class Imports:
    """What components may import; made of all interfaces once."""

    def __init__(self, interfaces: Iterable[Interface]) -> None:
        self._functions: dict[str, _Import] = {}
        self._resources: dict[str, str] = {}
        self._interfaces: dict[str, Interface] = {}
        for interface in interfaces:
            self._interfaces[interface.name] = interface
            for function in interface.functions:
                self._functions.setdefault(_short(interface, function), _Import(interface, function))
            for resource in _resources_of(interface.functions):
                self._resources[_last(resource)] = resource

    def component(self, code: str, exported: str, lift: str, libc: str = LIBC) -> str:
        """A component of core functions; `lift` is the type of the one named `exported` of what it exports.

        `exported` is an interface with its version, `#`, and the name of one of its functions, which `code`
        has to export by that last name. `libc` has the memory and the allocator; it may call what takes and
        gives no pointers.
        """
        used, first = (list(dict.fromkeys(_USED.findall(text))) for text in (code, libc))
        everything = dict.fromkeys((*used, *first))
        wanted = [self._functions[name] for name in everything if not name.startswith("drop.")]
        drops = [name for name in everything if name.startswith("drop.")]
        lifted = re.findall(r"\((?:own|borrow) \$([a-z-]+)\)", lift)
        resources = [*(self._resources[name] for name in (*lifted, *(drop[5:] for drop in drops)))]
        interface, _, name = exported.partition("#")
        return f"""(component
  {" ".join(self._instances(wanted, resources))}
  {" ".join(self._lowered(name, "first.") for name in first)}
  (core module $Libc {self._imported(first)} {libc})
  (core instance $libc (instantiate $Libc {_given(first, "first.")}))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  {" ".join(self._lowered(name) for name in used)}
  (core module $Main
    (import "libc" "memory" (memory 1))
    {self._imported(used)}
    {code})
  (core instance $main (instantiate $Main (with "libc" (instance $libc)) {_given(used)}))
  (alias core export $main "{name}" (core func $entry))
  (func $lifted {lift} (canon lift (core func $entry) {_OPTIONS}))
  (instance $exported (export "{name}" (func $lifted)))
  (export "{interface}" (instance $exported)))"""

    def _instances(self, wanted: Sequence[_Import], resources: Iterable[str]) -> Iterator[str]:
        """Every interface that is needed, those first that others have resources of."""
        functions: dict[str, list[Function]] = {}
        for each in wanted:
            functions.setdefault(each.interface.name, []).append(each.function)
        needed = {name: _resources_of(found) for name, found in functions.items()}
        for name in resources:
            needed.setdefault(_interface_of(name), []).append(name)
        told: set[str] = set()
        for name in list(needed):
            yield from self._instance(name, functions, needed, told)

    def _instance(
        self,
        name: str,
        functions: dict[str, list[Function]],
        needed: dict[str, list[str]],
        told: set[str],
    ) -> Iterator[str]:
        if name in told:
            return
        told.add(name)
        everywhere = [each for found in needed.values() for each in found]
        own = dict.fromkeys(each for each in everywhere if _interface_of(each) == name)
        others = dict.fromkeys(each for each in needed.get(name, ()) if _interface_of(each) != name)
        for each in others:
            yield from self._instance(_interface_of(each), functions, needed, told)
        version = self._interfaces[name].versions[0]
        version = _RELEASED.get(version, version)
        types = _Types()
        lines = [types.function(each) for each in functions.get(name, ())]
        yield f'(import "{name}{version and "@"}{version}" (instance ${name}'
        yield " ".join(f"(alias outer 1 ${_last(each)} (type ${_last(each)}))" for each in others)
        yield " ".join(f'(export "{_last(each)}" (type ${_last(each)} (sub resource)))' for each in own)
        yield " ".join([*types.lines, *lines])
        yield "))"
        yield " ".join(f'(alias export ${name} "{_last(each)}" (type ${_last(each)}))' for each in own)

    def _lowered(self, name: str, early: str = "") -> str:
        """The core function; one that is made `early`, before there is a memory, may need none."""
        if name.startswith("drop."):
            return f"(core func ${early}{name} (canon resource.drop ${name[5:]}))"
        found = self._functions[name]
        target = f'(func ${found.interface.name} "{found.function.name}")'
        return f"(core func ${early}{name} (canon lower {target} {'' if early else _OPTIONS}))"

    def _imported(self, names: Iterable[str]) -> str:
        return " ".join(f'(import "host" "{name}" (func ${name} {self._core(name)}))' for name in names)

    def _core(self, name: str) -> str:
        """The type that the core function of that short name has."""
        if name.startswith("drop."):
            return "(param i32)"
        return core_type(self._functions[name].function.signature)


def _given(names: Iterable[str], early: str = "") -> str:
    """What a core module is instantiated with, for what it imports of the host."""
    exports = " ".join(f'(export "{name}" (func ${early}{name}))' for name in names)
    return f'(with "host" (instance {exports}))'


def core_type(signature: Signature) -> str:
    """What a core module calls a function with, and is given (CanonicalABI.md, `flatten_functype`)."""
    params = [core for kind in signature.types for core in _CODECS.of(kind).flat]
    if len(params) > MAX_FLAT_PARAMS:
        params = ["i32"]
    flat = () if signature.result is None else _CODECS.of(signature.result).flat
    if len(flat) > 1:
        return f"(param {' '.join(params)} i32)"
    return f"(param {' '.join(params)}) (result {' '.join(flat)})"


def _short(interface: Interface, function: Function) -> str:
    """How the code of a guest calls a function."""
    found = _KINDS.fullmatch(function.name)
    if found is None:
        return f"{_last(interface.name)}.{function.name}"
    return f"{found[2]}.{found[3] or 'new'}"


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _interface_of(resource: str) -> str:
    return resource.rpartition("/")[0]


def _resources_of(functions: Iterable[Function]) -> list[str]:
    """The resources that functions take or give."""
    found: list[str] = []
    for function in functions:
        signature = function.signature
        for kind in (*signature.types, *([signature.result] if signature.result else [])):
            found += _resources_in(kind)
    return found


def _resources_in(kind: Type | None) -> Iterator[str]:
    match kind:
        case Own(resource) | Borrow(resource):
            yield resource
        case ListOf(item) | Option(item):
            yield from _resources_in(item)
        case Record(pairs) | Variant(pairs):
            for _, part in pairs:
                yield from _resources_in(part)
        case TupleOf(items):
            for item in items:
                yield from _resources_in(item)
        case Result(ok, error):
            yield from _resources_in(ok)
            yield from _resources_in(error)


class _Types:
    """The types of one interface as text; those that need a name get one, as a component has to have it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._named: dict[Type, str] = {}

    def function(self, function: Function) -> str:
        """The export of a function; its types are in `lines`."""
        params = [f'(param "{name}" {self.text(kind)})' for name, kind in function.signature.params]
        result = function.signature.result
        gives = "" if result is None else f"(result {self.text(result)})"
        return f'(export "{function.name}" (func {" ".join(params)} {gives}))'

    def text(self, kind: Type) -> str:
        """A type where it is used."""
        match kind:
            case Primitive(word):
                return word
            case ListOf(item):
                return f"(list {self.text(item)})"
            case Option(item):
                return f"(option {self.text(item)})"
            case TupleOf(items):
                return f"(tuple {' '.join(self.text(item) for item in items)})"
            case Result(ok, error):
                good = "" if ok is None else self.text(ok)
                bad = "" if error is None else f"(error {self.text(error)})"
                return f"(result {good} {bad})"
            case Own(resource):
                return f"(own ${_last(resource)})"
            case Borrow(resource):
                return f"(borrow ${_last(resource)})"
        if kind not in self._named:
            definition = self._definition(kind)
            name = f"t{len(self._named)}"
            self._named[kind] = name
            self.lines.append(f"(type $of-{name} {definition})")
            self.lines.append(f'(export "{name}" (type ${name} (eq $of-{name})))')
        return f"${self._named[kind]}"

    def _definition(self, kind: Type) -> str:
        match kind:
            case Record(pairs):
                fields = [f'(field "{name}" {self.text(part)})' for name, part in pairs]
                return f"(record {' '.join(fields)})"
            case Variant(cases):
                return f"(variant {' '.join(self._case(*case) for case in cases)})"
            case Enum(names):
                return f"(enum {_quoted(names)})"
            case Flags(names):
                return f"(flags {_quoted(names)})"
        raise NotImplementedError(kind)

    def _case(self, name: str, part: Type | None) -> str:
        return f'(case "{name}" {self.text(part)})' if part is not None else f'(case "{name}")'


def _quoted(names: Iterable[str]) -> str:
    return " ".join(f'"{name}"' for name in names)
