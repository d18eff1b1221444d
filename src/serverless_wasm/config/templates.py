"""`{{ name }}` in the values of a configuration file, replaced by what the variable stands for.

A document and the variables come in; the same document with text in place of names goes out.
It must never put a secret where it would be shown, nor look for names in what it has put in.
"""

from __future__ import annotations

import re
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from serverless_wasm.config.explain import MAX_PROBLEMS
from serverless_wasm.config.locate import DEPTH, key_text
from serverless_wasm.config.schema import field_kinds
from serverless_wasm.config.store_tables import SECRET_OPTIONS
from serverless_wasm.config.variables import suggestion
from serverless_wasm.limits import MIB
from serverless_wasm.net.policy import Policy
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from serverless_wasm.config.locate import KeyPath, SourceMap
    from serverless_wasm.config.variables import Variable
    from serverless_wasm.errors import Problem

MAX_TEXT = 16 * MIB
"""All text with variables in it, together: a short file may name a long value often."""
_TEMPLATE = re.compile(r"\{\{(?:(?P<braces>\{\{)|[ \t]*(?P<name>[a-z][a-z0-9_]{0,63})[ \t]*\}\})?")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = MappingProxyType({"true": True, "false": False})
_SHOWN = "a variable that is not secret: only env, credentials of stores and the url of key_value stay hidden"
_NO_ADDRESS = "a variable that is not secret, as an address in env grants a connection, which check shows"


class Expansion:
    """One document's templates: what they became, and every mistake in them."""

    def __init__(self, variables: Mapping[str, Variable], source: SourceMap) -> None:
        self.written: dict[KeyPath, str] = {}
        """What the operator wrote where a variable was put in."""
        self.problems: list[Problem] = []
        self._variables = variables
        self._source = source
        self._left: set[str] = set()
        self._room = MAX_TEXT

    def document(self, tables: dict[str, Any]) -> dict[str, Any]:
        """The document with its variables put in; a value with a mistake stays as it is."""
        return {
            key: value if key == "variables" else self._value((key,), value) for key, value in tables.items()
        }

    def explains(self, problem: Problem) -> bool:
        """Whether another problem only comes from a template that was left as it is."""
        key = problem.key
        ends = [place for place, character in enumerate(key) if character in ".["]
        return any(key[:end] in self._left for end in (*ends, len(key)))

    def _value(self, path: KeyPath, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(path, value) if "{{" in value else value
        if len(path) >= DEPTH:  # deeper than the schema's deepest: unknown keys
            return value
        if isinstance(value, dict):
            return {key: self._value((*path, key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value((*path, index), item) for index, item in enumerate(value)]
        return value

    def _text(self, path: KeyPath, text: str) -> Any:
        if len(self.problems) > MAX_PROBLEMS:  # nobody reads more, and it is refused anyway
            return text
        matches = list(_TEMPLATE.finditer(text))
        mistake = next(chain(self._mistakes(path, matches), self._objections(path, text, matches)), None)
        if mistake:
            self.problems.append(self._source.problem(path, *mistake))
        if mistake or any(self._variables[name].text is None for name in _names(matches)):
            self._left.add(key_text(path))
            return text
        self.written[path] = text
        expanded = self._expanded(text)
        return _converted(path, expanded) if matches[0]["name"] and matches[0][0] == text else expanded

    def _mistakes(self, path: KeyPath, matches: list[re.Match[str]]) -> Iterator[tuple[str, str]]:
        """What is found and what is expected instead, for each template that is wrong where it stands."""
        for match in matches:
            name = match["name"]
            if name is None:
                if not match["braces"]:
                    yield "{{ without a name and }}", "{{ name }} for a variable, or {{{{ for two braces"
            elif name not in self._variables:
                yield printable(match[0], 100), suggestion(name, self._variables)
            elif self._variables[name].secret and not _is_hidden(path):
                yield f"the secret {printable(match[0], 100)}", _SHOWN

    def _objections(
        self, path: KeyPath, text: str, matches: list[re.Match[str]]
    ) -> Iterator[tuple[str, str]]:
        """The same for what templates become that are all right."""
        used = [self._variables[name] for name in _names(matches)]
        self._room -= len(text) + sum(len(item.text or "") for item in used)
        if self._room < 0:
            yield f"more than {MAX_TEXT // MIB}MiB of text with variables", "less, or shorter values"
        elif path[2:3] == ("env",) and any(item.secret for item in used) and _grants(self._expanded(text)):
            yield "an address with a secret", _NO_ADDRESS

    def _expanded(self, text: str) -> str:
        return _TEMPLATE.sub(lambda match: self._replacement(match["name"]), text)

    def _replacement(self, name: str | None) -> str:
        return "{{" if name is None else self._variables[name].text or ""


def _names(matches: list[re.Match[str]]) -> Iterator[str]:
    return (name for match in matches if (name := match["name"]))


def _grants(text: str) -> bool:
    """Whether a value of `env` is an address, which the guest may then connect to."""
    return bool(Policy.for_application((), (text,)).rules)


def _is_hidden(path: KeyPath) -> bool:
    """Whether what stands there is never shown: in no log, no table of check, no repr."""
    match path:
        case ("applications", int(), "env", str()) | ("key_value", str(), "url"):
            return True
        case ("stores", str(), str(option)):
            return option in SECRET_OPTIONS
        case _:
            return False


def _converted(path: KeyPath, text: str) -> Any:
    """The text; where a key takes a number, true or false, that."""
    kinds = field_kinds(path)
    if bool in kinds and text in _BOOLEANS:
        return _BOOLEANS[text]
    return int(text) if {int, float} & kinds and _WHOLE_NUMBER.fullmatch(text) else text
