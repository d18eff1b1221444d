"""Text from strangers, made safe to print.

Guest, client and backend bytes come in; one physical line of visible characters goes out.
It must never pass a control character, a terminal escape or a bidirectional override on.
"""

from __future__ import annotations

import unicodedata

DETAIL_LIMIT = 512
TEXT_LIMIT = 8 * 1024
"""Characters of a line that a guest writes."""
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})


def printable(text: str | bytes, limit: int = DETAIL_LIMIT) -> str:
    """Escapes whatever could move a cursor or forge a line, and cuts at `limit` characters.

    Bytes are read as UTF-8 with replacement. What was cut off is counted at the end.
    """
    if isinstance(text, bytes):
        text = text[: 4 * limit + 4].decode("utf-8", "replace")
    head = text[:limit]
    if not head.isascii() or not head.isprintable():
        head = "".join(map(_visible, head))[:limit]
    return head if len(text) <= limit else f"{head}… ({len(text) - limit} more)"


def _visible(character: str) -> str:
    if character != " " and unicodedata.category(character) in _HIDDEN:
        return character.encode("unicode_escape", "backslashreplace").decode("ascii")
    return character
