"""The card at the top of each hostile guest: what it may use, what it is asked, and what must become of it.

A file of WebAssembly text, or the docstring of a generator, comes in; a Guest goes out.
It must never pass over a word that it does not know: a card with a slip of the pen tests nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from sandbox import wat

FOLDER = Path(__file__).parent
_LINE = re.compile(r"([a-z]+): ?(.*)")
_TITLE = re.compile(r"((?:[GI]\d+ )*[GI]\d+): (.+)")
_REQUEST = re.compile(r"([A-Z]+)(?: \?(\S*))?(?: (.+))?")
_MANY = re.compile(r"(\d+) x (\d+ \w+)")
_GUEST = frozenset({"limits", "env", "outbound", "grants", "refused", "first", "good", "defect"})
_LOG = re.compile(r"(\d+) records?(?:, (\d+) dropped)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request, and what must become of it; None and () where the card says nothing."""

    method: str = "GET"
    query: str = ""
    body: bytes = b""
    ending: str = "200 ok"
    """Status and outcome."""
    eight: tuple[str, ...] = ()
    """The endings of eight at once, in any order."""
    detail: str = ""
    """A part of the record's detail."""
    answer: bytes | None = None
    headers: tuple[str, ...] | None = None
    """The names of all header fields, sorted."""
    records: int | None = None
    dropped: int | None = None
    logged: str | None = None
    """The first line that the guest logs, as the log shows it."""
    refusals: int | None = None
    """Records of refused connections."""
    peak: int | None = None
    """Bytes of memory."""
    early: int = 0
    """The status that a client may be sent, whole, before the guest fails: when eight are slow together."""
    connections: int | None = None
    """Connections at once, at most, that the backend `counted` sees of eight at once."""

    @property
    def endings(self) -> tuple[str, ...]:
        """The endings of eight at once."""
        return self.eight or (self.ending,) * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """One hostile application."""

    name: str
    rows: tuple[str, ...]
    """Those of THREATS 2.1 that it belongs to."""
    module: bytes = field(repr=False)
    limits: str = ""
    env: str = ""
    outbound: str = ""
    """Each of the three as TOML has it between the brackets."""
    grants: str = ""
    """Further keys of the application, as TOML has them."""
    refused: str | None = None
    """A part of the reason why it cannot be loaded."""
    first: int = 0
    """The status of the very first request, where that is another one."""
    good: bool = True
    """Whether `?good` is answered with `good`."""
    defect: str = ""
    """What is wrong with the product, which therefore does not do what the card says."""
    visits: tuple[Visit, ...] = ()


def read_all() -> Iterator[Guest]:
    """Every guest that is a file, in the order of their names."""
    for path in sorted(FOLDER.glob("*.wat")):
        text = path.read_text(encoding="utf-8")
        head = takewhile(lambda line: line.startswith(";;"), text.splitlines())
        yield read(path.stem, [line[2:].removeprefix(" ") for line in head], wat(text))


def read(name: str, card: list[str], module: bytes) -> Guest:
    """A guest of the lines of its card; raises ValueError for a line that is no card's."""
    title = _TITLE.fullmatch(card[0])
    if not title:
        raise ValueError(f"{name}: its card begins with {card[0]!r}")
    guest = Guest(name=name, rows=tuple(title[1].split()), module=module)
    visits: list[Visit] = []
    for line in card[1:]:
        if line.startswith(" "):  # the title goes on
            continue
        found = _LINE.fullmatch(line)
        if not found:
            raise ValueError(f"{name}: {line!r}")
        key, value = found.groups()
        if key == "request":
            visits.append(_request(value))
        elif key in _GUEST:
            guest = replace(guest, **_trait(key, value))
        else:
            visits = visits or [Visit()]
            visits[-1] = replace(visits[-1], **_fact(key, value))
    if guest.refused is not None:
        visits = [Visit(ending="503 link")]
    if not visits:
        raise ValueError(f"{name}: its card expects nothing")
    return replace(guest, visits=tuple(visits), good=guest.good and guest.refused is None)


def _trait(key: str, value: str) -> dict[str, Any]:
    """The field of a Guest that a line of the card says."""
    if key == "good" and not value.startswith("none, "):
        raise ValueError(f"good: {value!r}, but it only ever says why there is none")
    return {key: False if key == "good" else int(value) if key == "first" else value}


def _request(text: str) -> Visit:
    found = _REQUEST.fullmatch(text)
    if not found:
        raise ValueError(f"request: {text!r}")
    return Visit(method=found[1], query=found[2] or "", body=_bytes(found[3] or ""))


def _fact(key: str, value: str) -> dict[str, Any]:
    """The field of a Visit that a line of the card says."""
    match key:
        case "expect":
            return {"ending": value}
        case "eight":
            endings = [ending for count, ending in _MANY.findall(value) for _ in range(int(count))]
            return {"eight": tuple(endings)}
        case "detail" | "logged":
            return {key: value}
        case "answer":
            return {"answer": _bytes(value)}
        case "headers":
            return {"headers": tuple(value.split(", "))}
        case "log" if found := _LOG.fullmatch(value):
            return {"records": int(found[1]), "dropped": int(found[2] or 0)}
        case "refusals" | "peak" | "connections" | "early":
            return {key: int(value)}
    raise ValueError(f"{key}: {value!r}")


def _bytes(text: str) -> bytes:
    """Text with the escapes of a Python literal, as bytes."""
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
