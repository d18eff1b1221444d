"""How an application's guests are run: what is the same for all of them, made once, when it is loaded.

A recipe and the terms it is to be run on come in; a Plan that both paths through the library read goes out.
It must be kept as long as a guest of it lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from serverless_wasm.limits import Limits
from serverless_wasm.wasm.capi import ffi
from serverless_wasm.wasm.engine import SLICE_TICKS, Engine
from serverless_wasm.wasm.fast import CompiledSteps

_UNCOUNTED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an exported function that returns nothing.

    `values` are its arguments, pairs of a kind of capi.KIND_OF_TYPE and an integer.
    """

    function: bytes
    values: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The limits of guests, the calls that are made of each in turn, the variables they may read."""

    limits: Limits = field(default_factory=Limits)
    calls: tuple[Call, ...] = ()
    variables: Mapping[bytes, bytes] = field(default_factory=dict)


class Plan:
    """A module's recipe, to be run on these terms; `own` is the structure of guest.h."""

    __slots__ = ("_kept", "answer", "go", "limits", "own")

    def __init__(self, engine: Engine, recipe: Any, terms: Terms) -> None:
        limits = terms.limits
        self.limits = limits
        self.go = engine.steps.guest_go
        """What a guest's steps are made with, which takes its guest_t (pure.py)."""
        self.answer = engine.steps.guest_answer if isinstance(engine.steps, CompiledSteps) else None
        """The same for the first of a new guest, which may be all that it takes (fast.c)."""
        self._kept: list[Any] = [recipe]
        calls = self._keep(ffi.new("call_t[]", [self._call(call) for call in terms.calls]))
        pairs = sorted(terms.variables.items(), key=lambda pair: (len(pair[0]), pair[0]))
        variables = self._keep(ffi.new("variable_t[]", [tuple(map(self._text, pair)) for pair in pairs]))
        self.own = ffi.new(
            "plan_t *",
            {
                "engine": engine.pointer,
                "recipe": recipe,
                "memory": limits.memory,
                "table_elements": limits.table_elements,
                "slice": SLICE_TICKS,
                "fuel": limits.fuel or _UNCOUNTED,
                "counts_fuel": engine.fuel,
                "host_calls": limits.host_calls,
                "response_body": limits.response_body,
                "response_headers": limits.response_headers,
                "response_header_bytes": limits.response_header_bytes,
                "calls": calls,
                "call_count": len(terms.calls),
                "variables": variables,
                "variable_count": len(pairs),
            },
        )

    def _keep(self, made: Any) -> Any:
        self._kept.append(made)
        return made

    def _text(self, data: bytes) -> tuple[Any, int]:
        return self._keep(ffi.new("char[]", data)), len(data)

    def _call(self, call: Call) -> tuple[tuple[Any, int], Any, int]:
        values = [(kind, {"i64": value}) for kind, value in call.values]
        return self._text(call.function), self._keep(ffi.new("wasmtime_val_t[]", values)), len(values)
