"""One configuration with its code: every module read and compiled, before anybody is asked to serve it.

A Configuration comes in; a Release, whole and the same for every worker, goes out.
It must never fail as a whole because one application is broken, nor know the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from time import perf_counter

from serverless_wasm.config.configuration import ApplicationConfig, Configuration
from serverless_wasm.errors import CompileError, EngineError, SourceError
from serverless_wasm.events import Emit, ModuleCompiling
from serverless_wasm.sources import kept, local
from serverless_wasm.sources.fetch import Fetcher, Result, Wanted, Watch, no_emit, no_watch
from serverless_wasm.stores import Remote
from serverless_wasm.text import printable
from serverless_wasm.wasm.artifacts import Artifact, Cache, digest_of
from serverless_wasm.wasm.compiler import CompilerProcess, Compiling

READERS = 4
"""Modules that are read at once; each is in memory until it is found in the cache, or compiled."""
BATCH = 100
"""Applications that a thread looks up in one go: handing them over one by one takes longer than the work."""
SOON = 0.05
"""Seconds in which a thread should have looked up a batch; small modules take 10 ms. Threads that look up
small ones hinder each other more than they help; those that wait for a disk, or read large ones, do not."""

AT_FIRST, AGAIN = 3.0, 5.0
"""Seconds after which somebody should be told that a module is still being compiled."""


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

    @property
    def pinned(self) -> Configuration:
        """The configuration that makes this code again, whatever is in its files and elsewhere by now."""
        applications = (
            replace(part.config, digest=f"sha256:{part.artifact.digest}") if part.artifact else part.config
            for part in self.parts
        )
        return replace(self.configuration, applications=tuple(applications))

    def with_configuration(self, configuration: Configuration) -> Release:
        """The same code with other limits; `configuration` has the same applications in the same order."""
        pairs = zip(self.parts, configuration.applications, strict=True)
        parts = tuple(replace(part, config=config) for part, config in pairs)
        return replace(self, configuration=configuration, parts=parts)


class Builder:
    """Makes releases, and gives every application the number that it keeps.

    Compiled modules go to `cache`, and so do those that come from elsewhere, below its folder; what happens
    to these is told to `emit` and `watch`. `compiler` is CompilerProcess, or a class like it.
    """

    def __init__(
        self,
        cache: Cache,
        compiler: Callable[..., Compiling] = CompilerProcess,
        *,
        emit: Emit = no_emit,
        watch: Watch = no_watch,
    ) -> None:
        self._cache = cache
        self._compiler = compiler
        self._emit = emit
        self._fetcher = Fetcher(cache.folder / "sources", emit, watch)
        self._numbers: dict[str, int] = {}

    async def build(self, configuration: Configuration) -> Release:
        """Fetches and compiles every module, each distinct one once; raises EngineError without a thread.

        What is not on this machine is asked for anew.
        """
        fuel = configuration.counts_fuel
        parts = [Part(config=item, number=self._number(item.name)) for item in configuration.applications]
        compiler = self._compiler(self._cache, fuel=fuel)
        modules = _Modules()
        lookup = _Lookup(self._cache, modules, fuel=fuel)
        work = _Work(compiler, lookup, modules, self._emit)
        try:
            await modules.fetch(self._fetcher, configuration)
            parts = await work.found(parts)
            parts = await work.compiled(parts)
        except ExceptionGroup as group:
            first = group.exceptions[0]
            raise EngineError.of_threads(first) if isinstance(first, RuntimeError) else first from None
        finally:
            lookup.stop()
            await compiler.close()
        certificate = await asyncio.to_thread(_certificate, configuration)
        return Release(configuration=configuration, parts=tuple(parts), certificate=certificate)

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, len(self._numbers) + 1)

    def name(self, number: int) -> str:
        """The application of a number, or empty: a process that was taken over may tell any number."""
        return next((name for name, known in self._numbers.items() if known == number), "")


class _Modules:
    """The bytes of the modules of one release, wherever they are."""

    def __init__(self) -> None:
        self._fetched: dict[tuple[str, str | None], Result] = {}

    async def fetch(self, fetcher: Fetcher, configuration: Configuration) -> None:
        """Fetches what is not on this machine; what fails is told by `read`."""
        wanted: dict[tuple[str, str | None], Wanted] = {}
        for item in configuration.applications:
            if isinstance(item.file_path, Remote):
                limit = max(item.limits.module_size, wanted[_key(item)].limit if _key(item) in wanted else 0)
                wanted[_key(item)] = Wanted(remote=item.file_path, digest=item.digest, limit=limit)
        results = await fetcher.fetch(wanted.values())
        self._fetched = dict(zip(wanted, results, strict=True))

    def read(self, config: ApplicationConfig) -> tuple[str, bytes]:
        """An application's module and its digest; raises SourceError when there is none, or another.

        Blocks.
        """
        name = printable(str(config.file_path))
        if isinstance(config.file_path, Remote):
            result = self._fetched[_key(config)]
            if isinstance(result, SourceError):
                raise result
            digest, data = result.digest, kept.read(result.path, result.digest)
        else:
            data = local.read(config.file_path)
            digest = digest_of(data)
        if config.digest not in {None, f"sha256:{digest}"}:
            raise SourceError(f"{name} has digest sha256:{digest}, not {config.digest} as the file says")
        if len(data) > config.limits.module_size:
            limit = config.limits.module_size
            raise SourceError(f"{name} has {len(data)} bytes, more than module_size, {limit}")
        return digest, data


def _key(config: ApplicationConfig) -> tuple[str, str | None]:
    """What is fetched once: one table is for a URL, in one configuration."""
    return str(config.file_path), config.digest


class _Lookup:
    """What of one release needs no compiler: modules that cannot be read, or are in the cache.

    Its methods block, and may be called by several threads. No module's bytes outlive a call.
    """

    def __init__(self, cache: Cache, modules: _Modules, *, fuel: bool) -> None:
        self._cache = cache
        self._modules = modules
        self._fuel = fuel
        self._known: dict[str, Artifact | None] = {}
        """What was in the cache, by digest: an application of many has the same module as others."""
        self._stopped = False

    def parts(self, parts: list[Part]) -> list[Part]:
        """The same parts, each with its error or its artifact; with neither, it is to be compiled."""
        return [part if self._stopped else self._part(part) for part in parts]

    def stop(self) -> None:
        """Ends what threads are doing: nobody waits for it any more."""
        self._stopped = True

    def _part(self, part: Part) -> Part:
        try:
            digest, _ = self._modules.read(part.config)
        except SourceError as error:
            return replace(part, error=str(error))
        if digest not in self._known:
            self._known[digest] = self._cache.find(digest, fuel=self._fuel)
        return replace(part, artifact=self._known[digest])


class _Work:
    """What the applications of one release share while they are made; errors become those of their parts."""

    def __init__(self, compiler: Compiling, lookup: _Lookup, modules: _Modules, emit: Emit) -> None:
        self._emit = emit
        self._compiler = compiler
        self._lookup = lookup
        self._modules = modules
        self._readers = asyncio.Semaphore(READERS)
        self._lookers = asyncio.Semaphore(1)
        self._looking = 1
        """Threads that may look up at once: one, and one more for each batch that took long."""
        self._compiled: dict[str, asyncio.Task[Artifact]] = {}

    async def found(self, parts: list[Part]) -> list[Part]:
        """The parts, in their order, after what can be done without the compiler."""
        batches = [parts[start : start + BATCH] for start in range(0, len(parts), BATCH)]
        async with asyncio.TaskGroup() as tasks:
            looking = [tasks.create_task(self._look_up(batch)) for batch in batches]
        return [part for task in looking for part in task.result()]

    async def _look_up(self, batch: list[Part]) -> list[Part]:
        async with self._lookers:
            began = perf_counter()
            found = await asyncio.to_thread(self._lookup.parts, batch)
            if perf_counter() - began > SOON and self._looking < READERS:
                self._looking += 1
                self._lookers.release()
            return found

    async def compiled(self, parts: list[Part]) -> list[Part]:
        """The parts, in their order, after those with neither error nor artifact were compiled."""
        async with asyncio.TaskGroup() as tasks:
            compiling = {
                part.number: tasks.create_task(self._compile(part))
                for part in parts
                if part.artifact is None and not part.error
            }
        return [compiling[part.number].result() if part.number in compiling else part for part in parts]

    async def _compile(self, part: Part) -> Part:
        try:
            async with self._readers:
                return replace(part, artifact=await self._artifact(part.config))
        except SourceError as error:
            return replace(part, error=str(error))
        except CompileError as error:
            return replace(part, error=f"{printable(str(part.config.file_path))} {error}")

    async def _artifact(self, config: ApplicationConfig) -> Artifact:
        """Reads the module a second time, for a thousand of them would not fit into the memory at once."""
        digest, data = await asyncio.to_thread(self._modules.read, config)
        if digest not in self._compiled:  # a refusal holds for all, too: it may have taken long
            self._compiled[digest] = asyncio.create_task(self._compile_module(config, data))
        return await self._compiled[digest]

    async def _compile_module(self, config: ApplicationConfig, data: bytes) -> Artifact:
        telling = asyncio.create_task(self._tell(config, len(data)))
        try:
            return await self._compiler.compile(data)
        finally:
            telling.cancel()
            await asyncio.wait({telling})

    async def _tell(self, config: ApplicationConfig, size: int) -> None:
        """Tells how long a module takes, for as long as it does; nothing of what is done in a moment."""
        began = perf_counter()
        told = False
        try:
            while True:
                await asyncio.sleep(AGAIN if told else AT_FIRST)
                told = True
                self._emit(_compiling(config, size, began, finished=False))
        finally:
            if told:
                self._emit(_compiling(config, size, began, finished=True))


def _compiling(config: ApplicationConfig, size: int, began: float, *, finished: bool) -> ModuleCompiling:
    seconds = round(perf_counter() - began)
    return ModuleCompiling(
        file=printable(str(config.file_path)), size=size, seconds=seconds, finished=finished
    )


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
