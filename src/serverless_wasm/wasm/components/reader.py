"""Components taken apart: what remains are core modules, and the plan that links them with the host.

Bytes of a component come in; its blueprint and the bytes of its core modules go out.
It must never guess: what this release cannot run as it was meant is refused, and named.
"""

from __future__ import annotations

import re

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.binary import COMPONENT
from serverless_wasm.wasm.components.blueprint import Blueprint
from serverless_wasm.wasm.components.budget import Budget
from serverless_wasm.wasm.components.component_limits import ComponentLimits
from serverless_wasm.wasm.components.cursor import shown
from serverless_wasm.wasm.components.evaluate import evaluate
from serverless_wasm.wasm.components.planning import plan
from serverless_wasm.wasm.components.sections import names

_PREVIEW_3 = re.compile(r"wasi:.*@0\.3(?:$|[.-])")


def read(data: bytes, limits: ComponentLimits | None = None) -> tuple[Blueprint, tuple[bytes, ...]]:
    """The plan of a component, and those of its core modules that are instantiated, as the plan counts them.

    Raises CompileError when it is no component, not well-formed, beyond a limit, or not of a kind that can be
    run. Whether it is valid in every respect is for the engine to say (skeleton.py).
    """
    if not data.startswith(COMPONENT):
        raise CompileError("is not a component")
    budget = Budget(limits or ComponentLimits())
    _refuse_preview_3(data, budget)
    return plan(evaluate(data, budget), budget)


def _refuse_preview_3(data: bytes, budget: Budget) -> None:
    """Raises CompileError for a component of WASI 0.3, before it is refused for what else it needs."""
    for is_import, name in names(data, budget):
        if _PREVIEW_3.match(name):
            how = "imports" if is_import else "exports"
            raise CompileError(
                f"is built for WASI 0.3 ({how} {shown(name)}): "
                "build it for WASI 0.2, where it exports wasi:http/incoming-handler@0.2"
            )
