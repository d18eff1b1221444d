"""One configuration with its code: every module read and compiled, before anybody is asked to serve it.

A Configuration comes in; a Release, whole and the same for every worker, goes out.
It must never fail as a whole because one application is broken, nor know the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

from serverless_wasm.config.configuration import ApplicationConfig, Configuration
from serverless_wasm.errors import CompileError, EngineError, SourceError
from serverless_wasm.sources import local
from serverless_wasm.text import printable
from serverless_wasm.wasm.artifacts import Artifact, Cache, digest_of
from serverless_wasm.wasm.compiler import CompilerProcess, Compiling

READERS = 4
"""Modules that are read at once; each is in memory until it is compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One application of a release: its code, or why there is none."""

    config: ApplicationConfig
    number: int
    """The application's number, the same in every release of a Builder; from 1."""
    artifact: Artifact | None = None
    error: str = ""

    def same(self, other: Part) -> bool:
        """Whether the other one would answer every request alike; the line in the file is no matter."""
        return self.artifact == other.artifact and _code(self) == _code(other)


def _code(part: Part) -> ApplicationConfig:
    return replace(part.config, line=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A configuration, and a part for each of its applications in the same order."""

    configuration: Configuration
    parts: tuple[Part, ...]
    certificate: str = ""
    """What the certificate of the door is known by."""

    def with_configuration(self, configuration: Configuration) -> Release:
        """The same code with other limits; `configuration` has the same applications in the same order."""
        pairs = zip(self.parts, configuration.applications, strict=True)
        parts = tuple(replace(part, config=config) for part, config in pairs)
        return replace(self, configuration=configuration, parts=parts)


class Builder:
    """Makes releases, and gives every application the number that it keeps.

    Compiled modules go to `cache`. `compiler` is CompilerProcess, or a class like it.
    """

    def __init__(self, cache: Cache, compiler: Callable[..., Compiling] = CompilerProcess) -> None:
        self._cache = cache
        self._compiler = compiler
        self._numbers: dict[str, int] = {}

    async def build(self, configuration: Configuration) -> Release:
        """Reads and compiles every module, each distinct one once; raises EngineError without a thread."""
        compiler = self._compiler(self._cache, fuel=configuration.counts_fuel)
        work = _Work(compiler)
        try:
            async with asyncio.TaskGroup() as tasks:
                made = [
                    tasks.create_task(work.part(item, self._number(item.name)))
                    for item in configuration.applications
                ]
        except ExceptionGroup as group:
            first = group.exceptions[0]
            raise EngineError.of_threads(first) if isinstance(first, RuntimeError) else first from None
        finally:
            await compiler.close()
        parts = tuple(task.result() for task in made)
        certificate = await asyncio.to_thread(_certificate, configuration)
        return Release(configuration=configuration, parts=parts, certificate=certificate)

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers) + 1)

    def name(self, number: int) -> str:
        """The application of a number, or empty: a process that was taken over may tell any number."""
        return next((name for name, known in self._numbers.items() if known == number), "")


class _Work:
    """What the applications of one release share while they are made."""

    def __init__(self, compiler: Compiling) -> None:
        self._compiler = compiler
        self._readers = asyncio.Semaphore(READERS)
        self._compiled: dict[str, asyncio.Task[Artifact]] = {}

    async def part(self, config: ApplicationConfig, number: int) -> Part:
        """The part of one application; whatever goes wrong is told in its `error`."""
        try:
            async with self._readers:
                artifact = await self._artifact(config)
        except SourceError as error:
            return Part(config=config, number=number, error=str(error))
        except CompileError as error:
            return Part(config=config, number=number, error=f"{printable(str(config.file_path))} {error}")
        return Part(config=config, number=number, artifact=artifact)

    async def _artifact(self, config: ApplicationConfig) -> Artifact:
        data = await asyncio.to_thread(local.read, config.file_path)
        if len(data) > config.limits.module_size:
            name, limit = printable(str(config.file_path)), config.limits.module_size
            raise SourceError(f"{name} has {len(data)} bytes, more than module_size, {limit}")
        digest = await asyncio.to_thread(digest_of, data)
        if digest not in self._compiled:  # a refusal holds for all, too: it may have taken long
            self._compiled[digest] = asyncio.create_task(self._compiler.compile(data))
        return await self._compiled[digest]


def _certificate(configuration: Configuration) -> str:
    """Empty without one, and for one that cannot be read: the door will say so."""
    if configuration.tls is None:
        return ""
    try:
        return digest_of(configuration.tls.certificate.read_bytes())
    except OSError:
        return ""


def differences(old: Release, new: Release) -> Iterator[str]:
    """What a reload changes, in words an operator knows; nothing when it changes nothing."""
    if old.certificate != new.certificate:
        yield "certificate renewed"
    before = {part.config.name: part for part in old.parts}
    after = {part.config.name: part for part in new.parts}
    yield from (f"{name} added" for name in after if name not in before)
    yield from (f"{name} removed" for name in before if name not in after)
    for name, part in after.items():
        if name in before and not part.same(before[name]):
            yield f"{name} changed: {', '.join(_changed(before[name], part))}"
    for field in fields(Configuration):
        if field.name != "applications":
            was, is_now = getattr(old.configuration, field.name), getattr(new.configuration, field.name)
            if was != is_now:
                yield f"{field.name} changed"


def _changed(old: Part, new: Part) -> Iterator[str]:
    if old.artifact != new.artifact:
        yield "code"
    for field in fields(ApplicationConfig):
        if field.name != "line" and getattr(old.config, field.name) != getattr(new.config, field.name):
            yield field.name
