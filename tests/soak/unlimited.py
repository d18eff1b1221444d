"""The program without limits of a module's structure, so that the compiler's own limits can be seen.

The program's arguments come in; it serves as ever.
It must never differ in anything else: one name of the composition root is another one here.
"""

from __future__ import annotations

from dataclasses import fields
from functools import partial

from serverless_wasm.cli import serve
from serverless_wasm.cli.main import main
from serverless_wasm.release import Builder
from serverless_wasm.wasm.compiler import CompilerLimits, CompilerProcess
from serverless_wasm.wasm.module_limits import ModuleLimits

ENDLESS = ModuleLimits(**{field.name: 2**60 for field in fields(ModuleLimits)})

if __name__ == "__main__":
    limits = CompilerLimits(structure=ENDLESS)
    compiler = partial(CompilerProcess, limits=limits)
    setattr(serve, "Builder", partial(Builder, compiler=compiler))  # noqa: B010 - mypy holds classes to be constant
    main()
