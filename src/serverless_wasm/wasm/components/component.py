"""A component that is ready to be linked: its blueprint, and its core modules, compiled.

What lies in the cache comes in; what linking.py needs goes out.
Its bytes were validated by the engine, and read by reader.py, when they were compiled.
"""

from __future__ import annotations

from collections.abc import Sequence

from serverless_wasm.wasm.artifacts import Artifact
from serverless_wasm.wasm.components.blueprint import Blueprint
from serverless_wasm.wasm.modules import Module


class Component:
    """One component; what it begins with are all its modules together."""

    def __init__(self, artifact: Artifact, blueprint: Blueprint, modules: Sequence[Module]) -> None:
        self.digest = artifact.digest
        self.begins = artifact.begins
        self.blueprint = blueprint
        self.modules = modules

    def close(self) -> None:
        """Frees the compiled code once no instance uses it."""
        for module in self.modules:
            module.close()
