"""Both paths through the library, and what a test needs to take either."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from serverless_wasm.wasm.fast import PURE as PURE_VARIABLE
from serverless_wasm.wasm.fast import CompiledSteps, find_steps

COMPILED, PURE = "compiled", "pure"


@contextmanager
def taking(path: str) -> Iterator[None]:
    """Engines that are made meanwhile take this path, whatever the tests were started with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(PURE_VARIABLE, raising=False)
        if path == PURE:
            patch.setenv(PURE_VARIABLE, "1")
        yield


def has_compiled() -> bool:
    """Whether there is a compiled path, built from the sources that lie beside it."""
    with taking(COMPILED):
        return isinstance(find_steps(), CompiledSteps)


NEEDS_COMPILED = pytest.mark.skipif(
    not has_compiled(), reason="no libfast.so of these sources: tests/wasm/test_fast.py says why"
)
CC = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), "")
NEEDS_CC = pytest.mark.skipif(not CC, reason="there is no C compiler on the PATH")
PATHS = (pytest.param(COMPILED, marks=NEEDS_COMPILED), pytest.param(PURE))
