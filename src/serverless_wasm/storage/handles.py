"""How many files and folders the guests of one application have open, all its invocations together.

Each is a descriptor of the worker, which all applications share. One that is opened comes in; leave to open
it, or OSError (EMFILE), goes out. It must never count less than there are.
"""

from __future__ import annotations

import errno

from serverless_wasm.storage.beneath import refusal


class Handles:
    """At most `most` at once, or as many as there are descriptors; for one thread."""

    __slots__ = ("_most", "open")

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self.open = 0

    def require_room(self) -> None:
        """Raises OSError (EMFILE) when there are too many for one more."""
        if self._most is not None and self.open >= self._most:
            raise refusal(errno.EMFILE)

    def take(self) -> None:
        """Counts one more, for which there was room."""
        self.open += 1

    def give(self) -> None:
        """Counts one less."""
        self.open -= 1
