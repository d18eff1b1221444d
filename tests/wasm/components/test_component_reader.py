"""Components are read into blueprints: all that their makers write, and what cannot be run is named."""

from __future__ import annotations

import msgspec
import pytest
import wasmtime

from sandbox import wat
from serverless_wasm.wasm.binary import MODULE
from serverless_wasm.wasm.components.blueprint import (
    Argument,
    Blueprint,
    Builtin,
    Export,
    Host,
    Lifted,
    Lowered,
    Options,
    Step,
)
from serverless_wasm.wasm.components.reader import read
from serverless_wasm.wasm.components.types import (
    BOOL,
    BYTES,
    S32,
    S64,
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
    Signature,
    TupleOf,
    Type,
    Variant,
)
from wasm.components.component_texts import ALL, EVERY_TYPE, ORDINARY, OWN_RESOURCES, SEVERAL

REQUEST, OUTPARAM = "wasi:http/types/incoming-request", "wasi:http/types/response-outparam"
INPUT = "wasi:io/streams/input-stream"


def test_an_ordinary_component_becomes_one_step() -> None:
    """Shim and fixup are gone, all is given by the host, and what is exported leads to the module."""
    blueprint, modules = read(wat(ORDINARY))

    streams, types, options = (
        "wasi:io/streams@0.2.3",
        "wasi:http/types@0.2.0",
        Options(memory=Export(0, "memory"), realloc=Export(0, "cabi_realloc")),
    )
    failed = Variant((("closed", None), ("failed", STRING)))
    lent = ("self", Borrow(INPUT))
    assert blueprint == Blueprint(
        modules=1,
        steps=(
            Step(
                0,
                (
                    Argument(streams, "[method]input-stream.read", Host(0)),
                    Argument(streams, "[method]input-stream.name", Host(1)),
                    Argument(streams, "[resource-drop]input-stream", Host(2)),
                    Argument(types, "[method]incoming-request.body", Host(3)),
                ),
            ),
        ),
        functions=(
            Lowered(
                streams,
                "[method]input-stream.read",
                Signature((lent, ("len", U64)), Result(BYTES, failed)),
                options,
            ),
            Lowered(streams, "[method]input-stream.name", Signature((lent,), STRING), options),
            Builtin("drop", INPUT),
            Lowered(
                types,
                "[method]incoming-request.body",
                Signature((("self", Borrow(REQUEST)),), Own(INPUT)),
                Options(),
            ),
        ),
        exports=(
            Lifted(
                "wasi:http/incoming-handler@0.2.0",
                "handle",
                Signature((("request", Own(REQUEST)), ("response-out", Own(OUTPARAM)))),
                Export(0, "wasi:http/incoming-handler@0.2.0#handle"),
                Options(post_return=Export(0, "cabi_post")),
            ),
        ),
        imports=(streams, types),
    )
    assert len(modules) == 1
    assert modules[0].startswith(MODULE)
    wasmtime.Module.validate(wasmtime.Engine(), modules[0])


def test_every_type_of_values_is_read() -> None:
    """The signature has them all, as types.py has them."""
    blueprint, _ = read(wat(EVERY_TYPE))

    (lowered,) = blueprint.functions
    assert isinstance(lowered, Lowered)
    assert lowered.interface == "test:every/types@1.0.0"
    record = Record((("a", BOOL), ("b", Primitive("s8"))))
    items = TupleOf((U8, Primitive("s16"), U16))
    params: dict[str, Type] = {
        "s64": S64, "u64": U64, "f32": Primitive("f32"), "f64": Primitive("f64"), "char": Primitive("char"),
        "string": STRING, "own": Own("test:every/types/thing"), "borrow": Borrow("test:every/types/thing"),
        "flags": Flags(("r", "w")), "variant": Variant((("none", None), ("some", record))),
        "no": Result(), "ok": Result(S32), "bad": Result(None, U32),
    }  # fmt: skip
    result = Result(ListOf(Option(items)), Enum(("red", "green")))
    assert lowered.signature == Signature(tuple(params.items()), result)


def test_resources_of_the_component_itself_are_numbered() -> None:
    """In the order of their definitions; a function in no interface is exported with none."""
    blueprint, _ = read(wat(OWN_RESOURCES))

    assert blueprint.functions == (Builtin("new", "#1"), Builtin("rep", "#1"), Builtin("drop", "#0"))
    (made,) = blueprint.exports
    assert (made.interface, made.name) == ("", "make")
    assert made.signature == Signature((), Own("#1"))


def test_several_modules_keep_their_order() -> None:
    """Each instance is a step that names earlier ones; a module that nobody instantiates is left out."""
    blueprint, modules = read(wat(SEVERAL))

    shared = [Argument("env", name, Export(0, name)) for name in ("memory", "table", "stack", "malloc")]
    arguments = (*shared, Argument("host", "write", Host(0)))
    assert blueprint.steps == (Step(0, ()), Step(1, arguments), Step(1, arguments))
    assert blueprint.modules == len(modules) == 2
    (run,) = blueprint.exports
    assert (run.interface, run.name, run.function) == ("test:app/runs@0.1.0", "run", Export(1, "run"))


@pytest.mark.parametrize("text", ALL)
def test_a_blueprint_survives_the_cache(text: str) -> None:
    """It is the same after it was JSON."""
    blueprint, _ = read(wat(text))

    assert msgspec.json.decode(msgspec.json.encode(blueprint), type=Blueprint) == blueprint


def test_functions_that_no_module_imports_are_left_out() -> None:
    """But the interface is told as imported."""
    text = """(component (import "a:b/c" (instance $i (export "f" (func))))
      (alias export $i "f" (func $f)) (core func (canon lower (func $f))))"""

    blueprint, modules = read(wat(text))

    assert blueprint == Blueprint(modules=0, steps=(), functions=(), exports=(), imports=("a:b/c",))
    assert modules == ()


def test_an_instance_shows_no_more_than_its_type() -> None:
    """A function that the type of an exported instance leaves out is not exported."""
    text = """(component
      (core module $m (func (export "f"))) (core instance $i (instantiate $m))
      (alias core export $i "f" (core func $core)) (func $f (canon lift (core func $core)))
      (instance $both (export "seen" (func $f)) (export "hidden" (func $f)))
      (export "a:b/c" (instance $both) (instance (export "seen" (func)))))"""

    blueprint, _ = read(wat(text))

    assert [each.name for each in blueprint.exports] == ["seen"]


def test_two_versions_of_an_interface_have_the_same_resources() -> None:
    """A resource is named without the version, functions with it."""
    one = """(import "wasi:io/poll@0.2.{0}" (instance $v{0} (export "pollable" (type $p (sub resource)))
        (type $b (borrow $p)) (export "[method]pollable.block" (func (param "self" $b)))))
      (alias export $v{0} "[method]pollable.block" (func $f{0}))
      (core func $c{0} (canon lower (func $f{0})))"""
    text = f"""(component {one.format(0)}{one.format(6)}
      (core module $m (import "x" "0" (func (param i32))) (import "x" "6" (func (param i32))))
      (core instance (instantiate $m (with "x" (instance
        (export "0" (func $c0)) (export "6" (func $c6)))))))"""

    blueprint, _ = read(wat(text))

    block = Signature((("self", Borrow("wasi:io/poll/pollable")),))
    assert [msgspec.structs.asdict(each)["interface"] for each in blueprint.functions] == [
        "wasi:io/poll@0.2.0",
        "wasi:io/poll@0.2.6",
    ]
    assert all(isinstance(each, Lowered) and each.signature == block for each in blueprint.functions)


def test_nested_components_may_hold_each_other() -> None:
    """Those without code are followed to the function, and may speak of what stands around them."""
    text = """(component
      (core module $m (func (export "f") (param i32))) (core instance $i (instantiate $m))
      (alias core export $i "f" (core func $core))
      (type $number u32)
      (func $f (param "x" $number) (canon lift (core func $core)))
      (component $outer
        (component $inner
          (alias outer 2 $number (type $t))
          (import "g" (func $g (param "x" $t)))
          (export "f" (func $g)))
        (import "h" (func $h (param "x" u32)))
        (instance $in (instantiate $inner (with "g" (func $h))))
        (alias export $in "f" (func $again))
        (export "f" (func $again)))
      (instance $out (instantiate $outer (with "h" (func $f))))
      (export "a:b/c" (instance $out)))"""

    blueprint, _ = read(wat(text))

    assert [each.signature for each in blueprint.exports] == [Signature((("x", U32),))]
