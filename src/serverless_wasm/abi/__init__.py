"""The membrane: the only place where guest memory and capabilities meet.

A compiled module comes in; the contract that it speaks goes out.
The order of the table is the order of detection; it must never depend on the configuration's order.
"""

from __future__ import annotations

from serverless_wasm.abi.base import Abi
from serverless_wasm.abi.cgi import CgiAbi
from serverless_wasm.abi.env import FUNCTIONS, NAMESPACE, EnvAbi
from serverless_wasm.abi.env_storage import FUNCTIONS as STORAGE_FUNCTIONS
from serverless_wasm.abi.wasi.functions import FUNCTIONS as WASI_FUNCTIONS
from serverless_wasm.abi.wasi.functions import NAMESPACE as WASI
from serverless_wasm.abi.wasi_http.abi import WasiHttpAbi
from serverless_wasm.abi.wws import WwsAbi
from serverless_wasm.errors import UnknownAbi
from serverless_wasm.text import printable
from serverless_wasm.wasm.code import Code
from serverless_wasm.wasm.components.component import Component
from serverless_wasm.wasm.linker import Linker
from serverless_wasm.wasm.scheduler import Scheduler


class Abis:
    """Every contract that this release speaks, made for one scheduler."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._linker = linker = Linker(scheduler.engine, scheduler)
        for function in (*FUNCTIONS, *STORAGE_FUNCTIONS, *WASI_FUNCTIONS):
            linker.define(function)
        abis = (WasiHttpAbi, CgiAbi, EnvAbi, WwsAbi)
        self._table: tuple[Abi, ...] = tuple(abi(scheduler, linker) for abi in abis)

    def detect(self, module: Code, named: str | None = None) -> Abi:
        """The ABI that the operator named, else the first that matches what the module imports and exports.

        Raises UnknownAbi that says what there is instead.
        """
        for abi in self._table:
            if abi.name == named or (named is None and abi.matches(module)):
                return abi
        if isinstance(module, Component):
            offered = ", ".join(printable(each.interface, 64) for each in module.blueprint.exports)
            raise UnknownAbi(
                f"is a component that exports {offered or 'nothing'}; "
                f"one that is served exports wasi:http/incoming-handler@0.2"
            )
        known = {abi.name for abi in self._table}
        strangers = sorted({wanted.module for wanted in module.imports} - {NAMESPACE, WASI})
        names = ", ".join(printable(name, 64) for name in strangers)
        raise UnknownAbi(
            f"imports from {names}, but the ABIs of this release are: {', '.join(sorted(known))}"
        )

    def close(self) -> None:
        """Frees the linker, once nothing is linked with it any more."""
        self._linker.close()
