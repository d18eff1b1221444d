"""Versions of one configuration whose every answer shows what it is made of: module, route and variables.

A number comes in; a folder that is that version, whole or broken, goes out, and a judgement of an answer.
It must never let parts of two versions make an answer that is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from string import ascii_letters

from sandbox import wat
from zoo.generated import g12_branch_table, g12_exports, g12_imports, g12_locals, g12_nested_loops, g12_types

PLACES = ("left", "right")
"""Two paths, and two modules: which answers which changes with every version."""
PAGE = "page"
"""An application with a large answer."""
NONCE = 8
_TAILS = {"left": 300, "right": 300, PAGE: 200_000}
"""Bytes of a letter of its version at the end of each answer."""
_GUEST = """(module
  (import "env" "response_set_body" (func $body (param i32 i64)))
  (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
  (import "env" "request_get_param" (func $param (param i32 i64 i32 i64) (result i64)))
  (import "env" "request_get_body" (func $text (param i64 i32 i64) (result i64)))
  (memory (export "memory") 8)
  (data (i32.const 0) "version") (data (i32.const 64) "p{version:06}")
  (data (i32.const 1024) "{name:5} {version:06} ...... ...... ........ ")
  (func $variable (param $to i32)
    (drop (call $get (i32.const 0) (i64.const 7) (local.get $to) (i64.const 6))))
  (func (export "handle")
    (call $variable (i32.const 1037))
    (drop (call $text (i64.const 0) (i32.const 512) (i64.const 64)))
    (call $variable (i32.const 1044))
    (drop (call $param (i32.const 64) (i64.const 7) (i32.const 1051) (i64.const {nonce})))
    (memory.fill (i32.const 1060) (i32.const {letter}) (i32.const {tail}))
    (call $body (i32.const 1024) (i64.const {size}))))"""
"""Its name and version, the variable before and after the request's body, its route's parameter."""
_HELLO = """(module (import "env" "response_set_body" (func $body (param i32 i64)))
  (memory (export "memory") 1) (data (i32.const 0) "hello, world")
  (func (export "handle") (call $body (i32.const 0) (i64.const 12))))"""
_ASKS_TOO_MUCH = """(module (import "env" "no_such_function" (func))
  (memory (export "memory") 1) (func (export "handle")))"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: a path without its last piece, which is new each time."""

    place: str
    nonce: str

    @property
    def path(self) -> str:
        """The path asked for; nobody else asks for it."""
        return f"/{self.place}/{self.nonce}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an answer says: the version it is of, and what is wrong with it."""

    version: int
    wrong: str = ""


def judge(question: Question, body: bytes) -> Judgement:
    """Whether everything in an answer is of one version."""
    try:
        name, module, before, after, nonce, tail = body.decode().split()
        version = int(module)
    except ValueError:
        return Judgement(-1, f"no answer of ours to {question.path}: {body[:80]!r}")
    expected = (_who_answers(question.place, version), f"{version:06}", f"{version:06}", question.nonce)
    if (name, before, after, nonce) != expected or tail != _letter(version) * _TAILS[name]:
        return Judgement(version, f"mixed answer to {question.path}: {body[:80]!r}, {len(body)} bytes")
    return Judgement(version)


def _who_answers(place: str, version: int) -> str:
    if place in PLACES and version % 2:
        return PLACES[1 - PLACES.index(place)]
    return place


def _letter(version: int) -> str:
    return ascii_letters[version % len(ascii_letters)]


def _module(name: str, version: int, more: str = "") -> bytes:
    tail = _TAILS[name]
    text = _GUEST.format(
        name=name, version=version, nonce=NONCE, letter=ord(_letter(version)), tail=tail, size=36 + tail
    )
    return wat(text.removesuffix(")") + more + ")")


@dataclass(slots=True)
class Deployment:
    """The files of one version, to be broken perhaps, then written."""

    version: int
    port: int
    workers: int = 2
    files: dict[str, bytes] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Puts every file into its place, each at once."""
        head = f'listen_address = "127.0.0.1:{self.port}"\n[server]\nworkers = {self.workers}\n'
        text = "\n".join([head, *self.tables]).encode()
        for name, data in {**self.files, "config.toml": text}.items():
            part = folder / f"{name}.part"
            part.write_bytes(data)
            part.replace(folder / name)


def deployment(version: int, port: int, workers: int = 2, heavy: int = 0) -> Deployment:
    """A version that works; `heavy` makes each module take longer to compile: so many functions more."""
    made = Deployment(version, port, workers)
    more = "".join(
        f"(func (result i32) (i32.mul (i32.const {n}) (i32.const {version})))" for n in range(heavy)
    )
    for name in _TAILS:
        made.files[f"{name}.wasm"] = _module(name, version, more)
    for place in _TAILS:
        name = _who_answers(place, version)
        made.tables.append(
            f'[[applications]]\nname = "{name}"\nfile_path = "{name}.wasm"\n'
            f'url_path = "/{place}/:p{version:06}"\nenv = {{ version = "{version:06}" }}'
        )
    made.files["hello.wasm"] = _hello()
    made.tables.append('[[applications]]\nname = "hello"\nfile_path = "hello.wasm"\nurl_path = "/hello"')
    return made


@cache
def _hello() -> bytes:
    return wat(_HELLO)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A way to break a deployment, and what the refusal must say."""

    name: str
    spoil: Callable[[Deployment], None]
    reason: str


def _add(table: str) -> Callable[[Deployment], None]:
    return lambda made: made.tables.append(table)


def _put(name: str, data: Callable[[], bytes]) -> Callable[[Deployment], None]:
    def spoil(made: Deployment) -> None:
        made.files[name] = data()

    return spoil


def _cut(made: Deployment) -> None:
    made.files["right.wasm"] = made.files["right.wasm"][:-100]


def _moved(made: Deployment) -> None:
    made.port += 1


def _again(made: Deployment) -> None:
    made.tables.append(made.tables[0].replace('name = "', 'name = "second-'))


MISTAKES = (
    Mistake("TOML syntax", _add("[[[applications"), "config.toml:"),
    Mistake("unknown key", _add('colour = "red"'), "colour"),
    Mistake("wrong type", _add("limits = 7"), "limits"),
    Mistake("missing module", _add('[[applications]]\nfile_path = "gone.wasm"\nurl_path = "/gone"'), "gone"),
    Mistake("invalid module", _cut, "right: "),
    Mistake("no module", _put("left.wasm", lambda: b"#!/bin/sh\n"), "is not WebAssembly"),
    Mistake("unknown import", _put("page.wasm", lambda: wat(_ASKS_TOO_MUCH)), "no_such_function"),
    Mistake("the same route twice", _again, "second-"),
    Mistake("another address", _moved, "listen_address"),
    Mistake("G12 locals", _put("right.wasm", g12_locals), "local variables"),
    Mistake("G12 loops", _put("left.wasm", g12_nested_loops), "nested loops"),
    Mistake("G12 types", _put("page.wasm", g12_types), "types"),
    Mistake("G12 exports", _put("right.wasm", g12_exports), "exports"),
    Mistake("G12 imports", _put("left.wasm", g12_imports), "imports"),
    Mistake("G12 branch table", _put("page.wasm", g12_branch_table), "branch targets"),
)
"""The ways in which operators, and worse, break a deployment."""


def broken(version: int, port: int, mistake: Mistake, workers: int = 2) -> Deployment:
    """A version that must be refused, and parts of which would answer."""
    made = deployment(version, port, workers)
    mistake.spoil(made)
    return made
