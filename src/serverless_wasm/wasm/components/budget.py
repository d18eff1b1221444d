"""What reading one component has spent of its limits.

Counts come in while it is read; nothing goes out until one is beyond its limit.
It must be shared by all that read the same component: parts that are used twice count twice.
"""

from __future__ import annotations

from serverless_wasm.errors import CompileError
from serverless_wasm.wasm.components.component_limits import ComponentLimits


class Budget:
    """The limits of one component, and what is left of them."""

    def __init__(self, limits: ComponentLimits) -> None:
        self.limits = limits
        self._resources = 0
        self._definitions = 0
        self._parts = 0

    def define(self, count: int = 1) -> None:
        """Counts definitions; raises CompileError when that is one too many."""
        self._definitions += count
        if self._definitions > self.limits.definitions:
            raise CompileError(
                f"has more than the {self.limits.definitions:,} definitions allowed, those of types "
                "and nested components counted each time that they are used"
            )

    def new_resource(self) -> int:
        """The number of the next resource that the component defines itself."""
        self._resources += 1
        return self._resources - 1

    def keep(self, parts: int) -> None:
        """Counts parts of the blueprint."""
        self._parts += parts
        if self._parts > self.limits.blueprint:
            raise CompileError(f"needs a plan of more than the {self.limits.blueprint:,} parts allowed")

    def require_nesting(self, depth: int) -> None:
        """Raises CompileError for what is nested too deep."""
        if depth > self.limits.nesting:
            raise CompileError(
                f"has types or components in each other more than {self.limits.nesting} levels deep"
            )

    def require_type(self, parts: int, depth: int) -> None:
        """Raises CompileError for a type that is too large when written out."""
        if parts > self.limits.signature:
            raise CompileError(
                f"has a type of {parts:,} parts when written out, {self.limits.signature:,} are allowed"
            )
        if depth > self.limits.type_depth:
            raise CompileError(f"has a type of more than the {self.limits.type_depth} levels allowed")


def parts_of(name: str) -> int:
    """What a name counts as: one, and one for each 32 characters."""
    return 1 + len(name) // 32
