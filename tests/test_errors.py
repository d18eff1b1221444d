"""The tree that errors.py draws, and what each error promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from serverless_wasm import errors
from serverless_wasm.errors import Error


def tree(kind: type[Error], depth: int = 0) -> Iterator[tuple[int, type[Error]]]:
    for child in kind.__subclasses__():
        yield depth, child
        yield from tree(child, depth + 1)


EVERY = [kind for _, kind in tree(Error)]


def test_drawing_is_the_classes() -> None:
    """The tree at the top of the file names every class, in its place and order."""
    lines = (errors.__doc__ or "").splitlines()
    drawn = [
        (len(match[1]) // 3, match[2])
        for line in lines
        if (match := re.match(r"((?:[│ ]  )*)[├└]─ (\w+)", line))
    ]

    assert drawn == [(depth, kind.__name__) for depth, kind in tree(Error)]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_each_error_says_when_and_has_two_faces(kind: type[Error]) -> None:
    """A docstring, a real HTTP status, and a word for the client."""
    assert kind.__doc__
    assert HTTPStatus(kind.status).value >= 400
    assert re.fullmatch(r"[a-z_]+", kind.code)
