"""Sub-routes that a CGI module names itself: what its function `_routes` prints (WAGI).

A module's own words and a request's path come in; the function to call, and its route, go out.
It must never call what the module does not export as a function () -> ().
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from serverless_wasm.abi.cgi_environment import script_name
from serverless_wasm.errors import BadResponse, LinkError
from serverless_wasm.text import printable
from serverless_wasm.wasm.linker import LinkedModule

EXPORT = "_routes"
_MOST = 1000  # sub-routes of a module


@dataclass(frozen=True, slots=True)
class SubRoute:
    """A path below the application's, with `/...` everything below it as well, and what to call there."""

    path: str
    linked: LinkedModule

    @property
    def fixed(self) -> str:
        """The path without its `/...`."""
        return script_name(self.path)

    def fits(self, info: str) -> bool:
        """Whether a path, as PATH_INFO has it, is meant."""
        if info == self.fixed:
            return True
        return self.path != self.fixed and info.startswith(f"{self.fixed}/")


def find(routes: tuple[SubRoute, ...], info: str) -> SubRoute | None:
    """The one that fits best: the longest."""
    return max((route for route in routes if route.fits(info)), key=lambda it: len(it.fixed), default=None)


def parse(text: bytes, link: Callable[[str], LinkedModule]) -> tuple[SubRoute, ...]:
    """Those that `_routes` printed, a path and a function on a line; raises BadResponse for what is none."""
    return tuple(_parse(text, link))


def _parse(text: bytes, link: Callable[[str], LinkedModule]) -> Iterator[SubRoute]:
    lines = [words for line in text.decode("utf-8", "replace").splitlines() if (words := line.split())]
    if len(lines) > _MOST:
        raise BadResponse(f"{EXPORT}: more than {_MOST} lines")
    for words in lines:
        if len(words) != 2 or not words[0].startswith("/"):
            raise BadResponse(f"{EXPORT}: {printable(' '.join(words), 64)} is not a path and a function")
        try:
            yield SubRoute(words[0], link(words[1]))
        except LinkError as error:
            raise BadResponse(f"{EXPORT}: {error}") from None
