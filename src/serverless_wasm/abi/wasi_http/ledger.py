"""What a guest holds of the host's memory: fields and bodies that it has made, and not handed on.

Sizes come in; a refusal goes out when they are too much together.
It must hold for as long as the guest's handles do, whatever number of requests it answers.
"""

from __future__ import annotations

from serverless_wasm.errors import HostLimit


class Ledger:
    """What a guest has made of fields and bodies, and not handed on: its own memory does not count that."""

    __slots__ = ("_held", "_most")

    def __init__(self, most: int) -> None:
        self._held = 0
        self._most = most

    def spend(self, size: int) -> None:
        """Takes that much, or gives it back when it is negative; raises HostLimit for too much."""
        self._held += size
        if self._held > self._most:
            raise HostLimit(f"response_body: more than {self._most} bytes of fields and bodies are held")
