"""Every interface that components may import, by name and version; and what of a component is not offered.

A function that a component calls comes in; the host's of that name and type goes out, or why there is none.
It must never match a version that is not released, except exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from serverless_wasm.abi.wasi_http.interface import Function, Interface
from serverless_wasm.text import printable
from serverless_wasm.wasm.components.blueprint import Blueprint, Lowered
from serverless_wasm.wasm.components.types import Signature

_RELEASED = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$")  # semver.org, without a pre-release
_NAME_LIMIT = 120


class Host:
    """The table of interfaces, made once."""

    def __init__(self, interfaces: Iterable[Interface]) -> None:
        self._functions: dict[tuple[str, str], dict[str, list[Function]]] = {}
        for interface in interfaces:
            for version in interface.versions:
                functions = self._functions.setdefault((interface.name, version), {})
                for function in interface.functions:
                    functions.setdefault(function.name, []).append(function)

    def find(self, wanted: Lowered) -> Function | str:
        """The host's function for one that a component calls, or a sentence that says why there is none."""
        label = printable(f"{wanted.interface} {wanted.name}", _NAME_LIMIT)
        functions = self._functions.get(key_of(wanted.interface))
        if functions is None:
            return f"{printable(wanted.interface, _NAME_LIMIT)} is not offered"
        found = functions.get(wanted.name)
        if found is None:
            return f"{label} is not offered"
        for function in found:
            if _same(function.signature, wanted.signature):
                return function
        return f"{label} is declared with other types than its interface has"

    def missing(self, blueprint: Blueprint) -> tuple[str, ...]:
        """A sentence for each function that the component calls, and that is not offered."""
        wanted = [each for each in blueprint.functions if isinstance(each, Lowered)]
        found = [self.find(each) for each in wanted]
        return tuple(dict.fromkeys(each for each in found if isinstance(each, str)))


def key_of(interface: str) -> tuple[str, str]:
    """Name and version: of a released version its first two numbers, which say what it is compatible with."""
    name, _, version = interface.partition("@")
    released = _RELEASED.match(version)
    if released is None:
        return name, version
    major, minor, patch = released.groups()
    if int(major):
        return name, major
    return name, f"0.{minor}" if int(minor) else f"0.0.{patch}"


def _same(ours: Signature, theirs: Signature) -> bool:
    """Names of parameters are for people: they have changed between versions."""
    return ours.types == theirs.types and ours.result == theirs.result
