"""What keeps files, whatever it is: the questions that a disk and an object store both answer.

Keys, which are relative paths that were checked here, and bytes come in; bytes and what is known of a file
go out. It must never let a key pass that a store could read as a way out of its folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from serverless_wasm.errors import NotPermitted
from serverless_wasm.text import printable

LONGEST = 1024
"""Bytes of a path: as many as an S3 key may have."""
MOST_NAMES = 100_000
"""What one listing may look at; a name is some hundred bytes while it lasts."""
TEMPORARY = ".serverless-wasm-"
"""How names begin of files on a disk that are not whole yet; no guest sees or makes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of a file or a folder."""

    size: int
    modified_ns: int
    """Since 1970; 0 where nobody says."""
    etag: str | None = None
    """Another one for each content; None where there is none."""
    is_folder: bool = False


FOLDER = Found(size=0, modified_ns=0, is_folder=True)
"""A folder of an object store, which is nothing but a part of names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """When a write happens at all: if there is nothing yet, or if what is there has this etag."""

    new: bool = False
    etag: str | None = None


ANY = Condition()
NEW = Condition(new=True)


class Keeper(Protocol):
    """One disk folder or object store; keys have passed `check_key`, and "" is the folder itself.

    Whatever fails is a CapabilityError with a sentence for the log. Every call may be cancelled; a write that
    is may happen nevertheless, but then whole.
    """

    async def head(self, key: str) -> Found | None:
        """What is there, if anything."""

    async def read(self, key: str, offset: int, size: int) -> tuple[int, bytes]:
        """The length of a file, and up to `size` bytes of it from `offset`; moves no more than these.

        Raises NotThere.
        """

    async def write(self, key: str, data: bytes, condition: Condition) -> bool:
        """Puts a file there, whole or not at all; whether the condition was met."""

    async def delete(self, key: str) -> bool:
        """Removes a file; whether there was one."""

    async def entries(self, folder: str, most: int) -> list[tuple[str, Found]]:
        """Name and kind of all that is in a folder, sorted; raises TooLarge beyond `most`."""

    async def names(self, folder: str, most: int) -> list[str]:
        """The keys of all files below a folder, not sorted; raises TooLarge beyond `most`."""

    async def used(self) -> int:
        """Bytes that are kept, each file counting `quota.ENTRY` more."""

    def close(self) -> None:
        """Frees what is kept for the next call; what is under way ends as it can."""


def check_key(key: bytes) -> str:
    """A path below a folder as text; raises NotPermitted for what could mean anything else.

    That is an empty part, ".", "..", a control character, a backslash (which some stores take for a slash),
    a name of ours, what is not UTF-8, and what is too long.
    """
    try:
        text = key.decode()
    except UnicodeDecodeError:
        raise NotPermitted("a path that is not UTF-8") from None
    if len(key) > LONGEST:
        raise NotPermitted(f"a path of {len(key)} bytes; {LONGEST} are allowed")
    if "\\" in text or not all(_fine(part) for part in text.split("/")):
        raise NotPermitted(f"not a path for guests: {printable(text)}")
    return text


def _fine(part: str) -> bool:
    if part in {"", ".", ".."} or part.startswith(TEMPORARY):
        return False
    return not any(character < " " or "\x7f" <= character <= "\x9f" for character in part)
