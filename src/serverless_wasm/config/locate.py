"""On which line of a TOML file each key stands.

The text of a file that tomllib accepted comes in; a SourceMap from key paths to lines goes out.
It must never decide whether a file is right: what it cannot find is on the line of the table around it.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import tree_sitter_toml
from tree_sitter import Language, Parser

from serverless_wasm.errors import Problem
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tree_sitter import Node

KeyPath = tuple[str | int, ...]
"""Keys, and the indexes of arrays, from the top of the file."""

DEPTH = 8
"""How deep paths are followed; the schema's own deepest is four."""
_BARE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMap:
    """One file and the lines of its keys."""

    file: str
    lines: Mapping[KeyPath, int]
    templates: Mapping[KeyPath, str] = field(default_factory=dict)
    """What the operator wrote where variables were put in."""

    def line(self, path: KeyPath) -> int:
        """The line of a key, or that of the nearest table around it; 1 if there is none."""
        for end in range(min(len(path), DEPTH), 0, -1):
            if path[:end] in self.lines:
                return self.lines[path[:end]]
        return 1

    def written(self, path: KeyPath, value: object) -> object:
        """A value as the operator wrote it: a template, where it or the value around it was made of one."""
        for end in range(1, min(len(path), DEPTH) + 1):
            if path[:end] in self.templates:
                return self.templates[path[:end]]
        return value

    def problem(self, path: KeyPath, found: str, expected: str) -> Problem:
        """A problem with the value at a path."""
        return Problem(
            file=self.file, line=self.line(path), key=key_text(path), found=found, expected=expected
        )


def key_text(path: KeyPath) -> str:
    """A path as an operator reads it, such as `applications[2].limits.memory`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path[:DEPTH])
    return text.removeprefix(".")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else printable(json.dumps(key[:200], ensure_ascii=False), 64)


def locate(file: str, text: str) -> SourceMap:
    """Finds the line of every key and array item of a file that tomllib accepted."""
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    lines = _Lines()
    lines.visit(tree.root_node)
    return SourceMap(file=file, lines=lines.by_path)


class _Lines:
    def __init__(self) -> None:
        self.by_path: dict[KeyPath, int] = {}
        self._lengths: dict[KeyPath, int] = {}  # of arrays of tables, as far as they are read

    def visit(self, root: Node) -> None:
        for node in root.named_children:
            if node.type == "pair":
                self._pair((), node)
            elif node.type in {"table", "table_array_element"}:
                self._table(node)

    def _table(self, node: Node) -> None:
        children = node.named_children
        keys = _keys(children[0])
        line = node.start_point.row + 1
        path = self._enter((), keys[:-1], line) + keys[-1:]
        if node.type == "table_array_element":
            index = self._lengths.get(path, 0)
            self._lengths[path] = index + 1
            self.by_path.setdefault(path, line)
            path = (*path, index)
        self.by_path[path] = line
        for child in children[1:]:
            if child.type == "pair":
                self._pair(path, child)

    def _pair(self, table: KeyPath, node: Node) -> None:
        children = node.named_children
        path = self._enter(table, _keys(children[0]), node.start_point.row + 1)
        self._value(path, children[-1])

    def _value(self, path: KeyPath, node: Node) -> None:
        if len(path) >= DEPTH:
            return
        if node.type == "inline_table":
            for child in node.named_children:
                if child.type == "pair":
                    self._pair(path, child)
        elif node.type == "array":
            items = (child for child in node.named_children if child.type != "comment")
            for index, child in enumerate(items):
                self.by_path[*path, index] = child.start_point.row + 1
                self._value((*path, index), child)

    def _enter(self, path: KeyPath, keys: tuple[str, ...], line: int) -> KeyPath:
        """Follows keys; one that names an array of tables leads to its last table."""
        for key in keys:
            path = (*path, key)
            self.by_path.setdefault(path, line)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        return path


def _keys(node: Node) -> tuple[str, ...]:
    """The parts of a key; tomllib itself undoes quotes, escapes and spaces around dots."""
    text = (node.text or b"").decode()
    if node.type == "bare_key":
        return (text,)
    try:
        table = tomllib.loads(f"{text} = 0")
    except ValueError:  # the two grammars disagree: only lines are lost
        return ()
    keys: list[str] = []
    while isinstance(table, dict) and len(table) == 1 and len(keys) < DEPTH:
        [(key, table)] = table.items()
        keys.append(key)
    return tuple(keys)
