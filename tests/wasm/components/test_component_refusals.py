"""Components that are not read: what cannot be run is named, what is not well-formed or too much refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandbox import wat
from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.binary import COMPONENT, MODULE
from serverless_wasm.wasm.components.component_limits import ComponentLimits
from serverless_wasm.wasm.components.encoding import section, sized, vector
from serverless_wasm.wasm.components.reader import read
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.reader import unsigned

LIFTED = """(core module $m (memory (export "memory") 1) (func (export "f"))
    (func (export "g") (param i32))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m)) (alias core export $i "f" (core func $f))
  (alias core export $i "memory" (core memory $memory)) (alias core export $i "realloc" (core func $realloc))
"""


def _refusal(data: bytes, limits: ComponentLimits | None = None) -> str:
    with pytest.raises(CompileError) as caught:
        read(data, limits)
    return str(caught.value)


REFUSED = {
    '(component (import "f" (func)))': "imports the function f by itself",
    '(component (import "t" (type (sub resource))))': "imports the type t by itself",
    '(component (import "c" (component)))': "imports the component c by itself",
    '(component (import "m" (core module)))': "declares types of core modules",
    "(component (core type (module)))": "declares types of core modules",
    "(component (type (instance (core type (module)))))": "declares types of core modules",
    '(component (import "v" (value u32)))': "has values, or a start function",
    '(component (import "f" (func $f)) (start $f))': "imports the function f by itself",
    "(component (component (core module)))": "uses nested components that call each other",
    "(component (component (component (core module))))": "uses nested components that call each other",
    "(component (type (list u8 4)))": "uses lists of a fixed length",
    "(component (type (stream u8)))": "uses streams, which belong to WASI 0.3",
    "(component (type (future)))": "uses futures, which belong to WASI 0.3",
    "(component (type error-context))": "uses error contexts, which belong to WASI 0.3",
    "(component (type (func async)))": "uses asynchronous functions, which belong to WASI 0.3",
    "(component (core func (canon task.cancel)))": "uses a function of tasks, streams or threads (0x05)",
    "(component (core func (canon waitable-set.new)))": "uses a function of tasks, streams or threads",
    "(component (core func (canon context.get i32 0)))": "uses a function of tasks, streams or threads",
    '(component (import "wasi:http/handler@0.3.0" (instance)))': (
        "is built for WASI 0.3 (imports wasi:http/handler@0.3.0): build it for WASI 0.2, where it exports "
        "wasi:http/incoming-handler@0.2"
    ),
    '(component (type (stream u8)) (instance $i) (export "wasi:http/handler@0.3.0-rc-1" (instance $i)))': (
        "is built for WASI 0.3 (exports wasi:http/handler@0.3.0-rc-1)"
    ),
    f"""(component {LIFTED} (func (canon lift (core func $f) async)))""": "uses asynchronous functions",
    f"""(component {LIFTED} (func (param "s" string) (canon lift (core func $f) string-encoding=utf16
      (memory $memory) (realloc $realloc))))""": "passes text in another encoding than UTF-8",
    f"""(component {LIFTED} (func (param "s" string) (canon lift (core func $f) string-encoding=latin1+utf16
      (memory $memory) (realloc $realloc))))""": "passes text in another encoding than UTF-8",
    f"""(component {LIFTED} (func $own (canon lift (core func $f)))
      (core func (canon lower (func $own))))""": "calls its own function 0 as if it were another's",
    """(component (import "a:b/c" (instance $i (export "f" (func)))) (export "a:b/d" (instance $i)))""": (
        "exports the function f as it imports it"
    ),
    f"""(component {LIFTED} (alias core export $i "g" (core func $g))
      (type (resource (rep i32) (dtor (core func $g)))))""": "defines a resource with a destructor",
    """(component (import "a:b/c" (instance (export "in" (instance)))))""": (
        "takes the instance in from elsewhere, which is not supported"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_run_is_named(text: str) -> None:
    """The refusal says what the component has that it must not."""
    assert REFUSED[text] in _refusal(wat(text))


def _component(*parts: tuple[int, bytes]) -> bytes:
    return COMPONENT + b"".join(section(kind, content) for kind, content in parts)


def _types(*types: bytes) -> tuple[int, bytes]:
    return 7, vector(types)


def _instance_type(*declarations: bytes) -> bytes:
    return b"\x42" + vector(declarations)


def _import(name: bytes, kind: int) -> tuple[int, bytes]:
    return 10, vector([b"\0" + sized(name) + b"\x05" + unsigned(kind)])


MALFORMED = {
    "not a component": MODULE,
    "it ends too early": COMPONENT + b"\x07",
    "a section ends too late": COMPONENT + b"\x07\x05\x01",
    "a section has more bytes than its content": _component((7, b"\x01\x7f\x00")),
    "has an unknown section 13": _component((13, b"")),
    "a number is longer than its type allows": COMPONENT + b"\x07\x80\x80\x80\x80\x10",
    "9 things cannot follow in 2 bytes": _component((7, b"\x09\x7f\x7f")),
    "a name ends too late": _component((10, b"\x01\0\x09a")),
    "a name is not UTF-8": _component((10, b"\x01\0\x01\xff\x05\0")),
    "a name of the unknown kind 2": _component((10, b"\x01\x02\x01a\x05\0")),
    "refers to the unknown type 0": _component((10, b"\x01\0\x01a\x05\0")),
    "type 0 is not an instance's": _component(_types(b"\x7f"), _import(b"a", 0)),
    "type 0 is not one of values": _component(_types(b"\x42\0", b"\x70\0")),
    "type 0 is not a resource": _component(_types(b"\x7f", b"\x69\0")),
    "type 0 is not a function's": _component(
        _types(_instance_type(b"\x01\x7f", b"\x04\0" + sized(b"f") + b"\x01\0"))
    ),
    "an unknown type 0x5f": _component(_types(b"\x5f")),
    "an unknown type 0x40": _component(_types(b"\x70\x40")),
    "a type's index is below zero": _component(_types(b"\x7f", b"\x70\x80\x40")),
    "a record has no field": _component(_types(b"\x72\0")),
    "a tuple has no item": _component(_types(b"\x6f\0")),
    "a type has no case": _component(_types(b"\x71\0")),
    "a type has a twice": _component(_types(b"\x6d" + vector([sized(b"a")] * 2))),
    "33 flags are more than 32": _component(_types(b"\x6e" + vector([sized(b"f%d" % n) for n in range(33)]))),
    "a case refines another": _component(_types(b"\x71" + vector([sized(b"a") + b"\0\x01"]))),
    "a function has results with names": _component(_types(b"\x40\0\x01\x01")),
    "2 stands where 0 or 1 must": _component(_types(b"\x6a\x02")),
    "a resource is not represented by an i32": _component(_types(b"\x3f\x7e\0")),
    "an unknown type 0x3f": _component(_types(_instance_type(b"\x01\x3f\x7f\0"))),
    "an unknown declaration 3": _component(_types(_instance_type(b"\x03"))),
    "an unknown declaration 9": _component(_types(b"\x41" + vector([b"\x09"]))),
    "a is exported twice": _component(
        _types(_instance_type(b"\x01\x7f", *[b"\x04\0" + sized(b"a") + b"\x03\0\0"] * 2))
    ),
    "refers to a scope 2 levels outwards, where none is": _component(
        _types(_instance_type(b"\x02\x03\x02\x02\0"))
    ),
    "refers to the unknown type 1": _component(_types(b"\x7f", _instance_type(b"\x02\x03\x02\x01\x01"))),
    "an alias of an unknown kind": _component((6, vector([b"\x01\x02\0\0"]))),
    "refers to the unknown instance 0": _component((6, vector([b"\x01\0\0" + sized(b"f")]))),
    "an instance has no export f": _component((5, b"\x01\x01\0"), (6, vector([b"\x01\0\0" + sized(b"f")]))),
    "a thing of an unknown sort": _component((6, vector([b"\x09"]))),
    "has values": _component((6, vector([b"\x02\x02\0\0"]))),
    "has values, or a start function": _component((9, b"\0\0\0")),
    "a core thing of the unknown sort 4": _component(
        (2, vector([b"\x01" + vector([sized(b"t") + b"\x04"])]))
    ),
    "a core instance of the unknown kind 2": _component((2, b"\x01\x02")),
    "refers to the unknown core function 0": _component(
        (2, vector([b"\x01" + vector([sized(b"f") + b"\0\0"])]))
    ),
    "refers to the unknown core module 0": _component((2, b"\x01\0\0\0")),
    "refers to the unknown core instance 0": _component((6, vector([b"\0\0\x01\0" + sized(b"f")]))),
    "core instance 0 has no memory m": _component(
        (2, b"\x01\x01\0"), (6, vector([b"\0\x02\x01\0" + sized(b"m")]))
    ),
    "a core module is given a twice": _component(
        (1, MODULE), (2, b"\x01\x01\0"), (2, vector([b"\0\0" + vector([sized(b"a") + b"\x12\0"] * 2)]))
    ),
    "core module 0 is not given the function a f that it imports": _component(
        (1, bytes(wat('(module (import "a" "f" (func)))'))), (2, b"\x01\0\0\0")
    ),
    "core module 0 is not given the memory a f that it imports": _component(
        (1, bytes(wat('(module (import "a" "f" (memory 1)))'))),
        (1, bytes(wat('(module (func (export "f")))'))),
        (2, vector([b"\0\x01\0", b"\0\0" + vector([sized(b"a") + b"\x12\0"])])),
    ),
    "a core module does not begin as one": _component((1, COMPONENT)),
    "a name in a core module is not UTF-8": _component((1, MODULE + section(7, b"\x01\x01\xff\0\0"))),
    "a nested component does not begin as one": _component((4, MODULE)),
    "an instance of the unknown kind 2": _component((5, b"\x01\x02")),
    "refers to the unknown component 0": _component((5, b"\x01\0\0\0")),
    "a nested component is not given a": _component(
        (4, COMPONENT + section(10, b"\x01\0\x01a\x03\x01")), (5, b"\x01\0\0\0")
    ),
    "something of another sort stands for a component's instance": _component(
        (4, COMPONENT + section(7, b"\x01\x42\0") + section(10, b"\x01\0\x01a\x05\0")),
        _types(b"\x7f"),
        (5, vector([b"\0\0" + vector([sized(b"a") + b"\x03\0"])])),
    ),
    "a:b/c is imported twice": _component(_types(b"\x42\0"), _import(b"a:b/c", 0), _import(b"a:b/c", 0)),
    "an unknown canonical function 0x60": _component((8, b"\x01\x60")),
    "a function of an unknown kind": _component((8, b"\x01\x01\x01")),
    "an option 8 that is unknown or there twice": _component(
        _types(b"\x42\x02\x01\x40\0\x01\0\x04\0\x01f\x01\0"),
        _import(b"a", 0),
        (6, vector([b"\x01\0\0" + sized(b"f")])),
        (8, b"\x01\x01\0\0\x01\x08"),
    ),
}


@pytest.mark.parametrize("why", MALFORMED)
def test_what_is_not_well_formed_is_refused(why: str) -> None:
    """The refusal says what is wrong."""
    assert why in _refusal(MALFORMED[why])


def test_a_nested_component_cannot_speak_of_itself() -> None:
    """Nor of what comes after it: or instantiating it would never end."""
    itself = COMPONENT + section(6, vector([b"\x04\x02\x01\0"])) + section(5, b"\x01\0\0\0")

    assert "refers to the unknown component 0" in _refusal(_component((4, itself), (5, b"\x01\0\0\0")))


def _doubled(levels: int) -> bytes:
    """Types that are tuples of the one before, twice."""
    return _component(_types(b"\x7f", *(b"\x6f\x02" + 2 * unsigned(n) for n in range(levels))))


def _chain(levels: int) -> bytes:
    """Nested components, each of which instantiates the one before it."""
    parts = [(4, COMPONENT)]
    for number in range(levels):
        alias = section(6, vector([b"\x04\x02\x01" + unsigned(number)]))
        parts.append((4, COMPONENT + alias + section(5, b"\x01\0\0\0")))
    return _component(*parts, (5, vector([b"\0" + unsigned(levels) + b"\0"])))


def _multiplied(levels: int) -> bytes:
    """Nested components, each of which instantiates the one before it ten times."""
    parts = [(4, COMPONENT)]
    for number in range(levels):
        alias = section(6, vector([b"\x04\x02\x01" + unsigned(number)]))
        parts.append((4, COMPONENT + alias + section(5, vector([b"\0\0\0"] * 10))))
    return _component(*parts, (5, vector([b"\0" + unsigned(levels) + b"\0"])))


def _nested_types(levels: int) -> bytes:
    kind = b"\x42\0"
    for _ in range(levels):
        kind = _instance_type(b"\x01" + kind)
    return _component(_types(kind))


def _nested_components(levels: int) -> bytes:
    data = COMPONENT
    for _ in range(levels):
        data = _component((4, data))
    return data


def _imports_of(count: int, size: int) -> bytes:
    """Many imports of one large type of instances."""
    kind = _instance_type(*[b"\x01\x7f"] * size)
    return _component(_types(kind), *(_import(b"a%d" % number, 0) for number in range(count)))


def _instances_of(module: str, count: int) -> bytes:
    return _component((1, wat(module)), (2, vector([b"\0\0\0"] * count)))


def _lists(levels: int) -> bytes:
    return _component(_types(b"\x7f", *(b"\x70" + unsigned(n) for n in range(levels))))


def _lowered(count: int) -> bytes:
    kind = _instance_type(b"\x01\x6d" + vector([sized(b"e%d" % n) for n in range(100)]),
                          b"\x01\x40" + vector([sized(b"p") + b"\0"]) + b"\x01\0",
                          b"\x04\0\x01f\x01\x01")  # fmt: skip
    function = (6, vector([b"\x01\0\0" + sized(b"f")]))
    return _component(_types(kind), _import(b"a", 0), function, (8, vector([b"\x01\0\0\0"] * count)))


TOO_MUCH: dict[str, tuple[Callable[[int], bytes], int, str]] = {
    "signature": (_doubled, 30, "has a type of 16,383 parts when written out, 10,000 are allowed"),
    "type_depth": (_lists, 32, "has a type of more than the 32 levels allowed"),
    "nesting of types": (_nested_types, 2_000, "more than 16 levels deep"),
    "nesting of components": (_nested_components, 2_000, "more than 16 levels deep"),
    "nesting of instances": (_chain, 2_000, "more than 16 levels deep"),
    "definitions": (_multiplied, 15, "has more than the 60,000 definitions allowed"),
    "definitions of types": (
        lambda count: _imports_of(count, 5_000),
        5_000,
        "the 60,000 definitions allowed",
    ),
    "definitions of sections": (lambda n: COMPONENT + b"\0\x01\0" * n, 100_000, "60,000 definitions"),
    "steps": (lambda count: _instances_of("(module)", count), 101, "core modules more than 100 times"),
    "blueprint": (_lowered, 2_000, "needs a plan of more than the 200,000 parts allowed"),
    "name_bytes": (
        lambda n: _component(_types(b"\x42\0"), _import(b"a" * n, 0)),
        513,
        "has 513 bytes in a name",
    ),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_what_is_beyond_a_limit_is_refused(what: str) -> None:
    """Whatever grows in secret is counted, and the refusal names the limit."""
    make, size, why = TOO_MUCH[what]

    assert why in _refusal(make(size))


def test_what_is_within_the_limits_is_read() -> None:
    """The same, one smaller or many times smaller."""
    for what, size in {"signature": 11, "type_depth": 31, "steps": 100, "nesting of instances": 14}.items():
        read(TOO_MUCH[what][0](size))


def test_core_modules_are_within_their_own_limits() -> None:
    """Of imports, exports and names, before anything is made of them."""
    module = wat('(module (import "a" "b" (func)) (import "a" "c" (func)) (export "long" (func 0)))')
    data = _component((1, module))

    assert _refusal(data, ComponentLimits(module=ModuleLimits(imports=1))) == (
        "has 2 imports in a core module, 1 are allowed"
    )
    assert _refusal(data, ComponentLimits(module=ModuleLimits(name_bytes=3))) == (
        "has 4 bytes in a name of a core module, 3 are allowed"
    )
