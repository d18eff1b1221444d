"""Releases: numbers that stay, code that is compiled once, mistakes that stay with their application."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from applications import HELLO
from configurations import application, configuration
from sandbox import wat
from serverless_wasm.config.configuration import ApplicationConfig, Configuration
from serverless_wasm.events import ModuleCompiling
from serverless_wasm.limits import DoorLimits, Limits
from serverless_wasm.release import BATCH, Builder, Part, Release, differences
from serverless_wasm.storage.files.stores import Place
from serverless_wasm.storage.kv.namespace import KeyValueSettings
from serverless_wasm.storage.mounts import Mount
from serverless_wasm.wasm.artifacts import Artifact, Cache, digest_of
from serverless_wasm.wasm.binary import Beginning
from serverless_wasm.wasm.code import InlineCompiler

ONE = Artifact(digest="1" * 64, begins=Beginning(65536, 0), imports_memory=False)
TWO = replace(ONE, digest="2" * 64)


class Counting(InlineCompiler):
    """Counts what it is asked to compile, in this process."""

    asked: list[bytes]
    closed: int

    async def compile(self, data: bytes) -> Artifact:
        """Gives way before it begins, as a busy compiler does."""
        self.asked.append(data)
        await asyncio.sleep(0.01)
        return await super().compile(data)

    async def close(self) -> None:
        """Counts, too."""
        type(self).closed += 1
        await super().close()


@pytest.fixture
def counting() -> type[Counting]:
    """A compiler that has not been asked yet."""
    return type("Fresh", (Counting,), {"asked": [], "closed": 0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with hello.wasm, copy.wasm of the same bytes, and bad.wasm, which is none."""
    for name in ("hello.wasm", "copy.wasm"):
        (tmp_path / name).write_bytes(wat(HELLO))
    (tmp_path / "bad.wasm").write_bytes(b"\x7fELF")
    return tmp_path


def configured(folder: Path, *names: str, **limits: Any) -> Configuration:
    """A configuration of the modules of these names; the same one more than once is several applications."""
    applications = (
        application(f"{name}{index}", file_path=folder / f"{name}.wasm", limits=Limits(**limits))
        for index, name in enumerate(names)
    )
    return configuration(folder / "config.toml", *applications)


def test_what_takes_long_is_told(
    folder: Path, counting: type[Counting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a module is compiled, and once more when it is; what is done in a moment is not."""

    def told() -> list[Any]:
        events: list[Any] = []
        builder = Builder(Cache(folder / "cache"), counting, emit=events.append)
        asyncio.run(builder.build(configured(folder, "hello", "copy")))
        return events

    assert told() == []
    for name in ("hello.wasm", "copy.wasm"):
        (folder / name).write_bytes(wat(HELLO.replace("hello", "other")))
    monkeypatch.setattr("serverless_wasm.release.AT_FIRST", 0.001)

    first, last = told()
    assert (first.finished, last.finished) == (False, True)
    assert {type(first), type(last)} == {ModuleCompiling}
    assert str(folder) in first.file
    assert first.size == len((folder / "copy.wasm").read_bytes())
    assert told() == []


def broken(release: Release) -> dict[str, str | None]:
    """Why each application that has no code has none, by name."""
    return {part.config.name: part.error for part in release.parts if part.artifact is None}


def test_one_module_is_compiled_once(folder: Path, counting: type[Counting]) -> None:
    """However many applications and files have it; and one that is refused is refused once for all."""
    builder = Builder(Cache(folder / "cache"), counting)
    names = ("hello", "copy", "bad", "hello", "bad", "hello")

    release = asyncio.run(builder.build(configured(folder, *names)))

    assert 2 == len(counting.asked)
    assert 1 == counting.closed
    good = [part.artifact for part in release.parts if part.artifact]
    assert 4 == len(good)
    assert 1 == len(set(good))
    assert ["bad2", "bad4"] == list(broken(release))
    assert all("not WebAssembly" in str(reason) for reason in broken(release).values())


def test_mistakes_stay_with_their_application(folder: Path) -> None:
    """A module that is missing, too large or none: told for each, in the order of the file."""
    whole = configured(folder, "gone", "hello", "bad")
    large = replace(whole.applications[1], name="large", limits=Limits(module_size=10))
    whole = replace(whole, applications=(*whole.applications, large))

    release = asyncio.run(Builder(Cache(folder / "cache")).build(whole))

    assert list(whole.applications) == [part.config for part in release.parts]
    assert ["gone0", "bad2", "large"] == list(broken(release))
    assert "No such file" in str(broken(release)["gone0"])
    assert "more than module_size, 10" in str(broken(release)["large"])


def test_numbers_stay(folder: Path, counting: type[Counting]) -> None:
    """An application has the same number in every release, its place taken by nobody when it is gone."""
    builder = Builder(Cache(folder / "cache"), counting)

    async def numbers(*names: str) -> dict[str, int]:
        whole = configured(folder, *["hello"] * len(names))
        applications = (
            replace(item, name=name) for item, name in zip(whole.applications, names, strict=True)
        )
        release = await builder.build(replace(whole, applications=tuple(applications)))
        return {part.config.name: part.number for part in release.parts}

    async def main() -> None:
        assert {"a": 1, "b": 2} == await numbers("a", "b")
        assert {"c": 3, "b": 2} == await numbers("c", "b")
        assert {"b": 2, "a": 1, "d": 4} == await numbers("b", "a", "d")

    asyncio.run(main())
    assert ["a", "b", "c", "d"] == [builder.name(number) for number in (1, 2, 3, 4)]
    assert ["", "", ""] == [builder.name(number) for number in (0, 5, 2**64 - 1)]


def test_a_build_that_is_cancelled_leaves_nothing(folder: Path, counting: type[Counting]) -> None:
    """The compiler is closed, and the next build is as good as any."""
    builder = Builder(Cache(folder / "cache"), counting)

    async def main() -> Release:
        task = asyncio.create_task(builder.build(configured(folder, "hello", "hello", "bad")))
        while not counting.asked:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert 1 == counting.closed
        assert {asyncio.current_task()} == asyncio.all_tasks()
        return await builder.build(configured(folder, "hello"))

    assert not broken(asyncio.run(main()))


def test_what_is_in_the_cache_needs_no_compiler(folder: Path, counting: type[Counting]) -> None:
    """More than a thread takes at once, and every answer stays at its place among mistakes and news."""
    cache = Cache(folder / "cache")
    for number in range(3):
        (folder / f"known{number}.wasm").write_bytes(wat(f"(module (func (drop (i32.const {number}))))"))
    asyncio.run(Builder(cache).build(configured(folder, "known0", "known1", "known2")))
    names = [
        ("known0", "known1", "known2", "gone", "hello", "bad")[number % 6] for number in range(3 * BATCH)
    ]

    release = asyncio.run(Builder(cache, counting).build(configured(folder, *names)))

    assert 2 == len(counting.asked), "hello and bad"
    assert [f"{name}{index}" for index, name in enumerate(names)] == [p.config.name for p in release.parts]
    for part in release.parts:
        kind = part.config.name[:3]
        assert part.error == ("" if kind in {"kno", "hel"} else part.error)
        assert (part.artifact is None) == (kind in {"gon", "bad"})
        if part.artifact:
            assert digest_of(Path(str(part.config.file_path)).read_bytes()) == part.artifact.digest
    assert list(range(1, len(names) + 1)) == [part.number for part in release.parts]


def test_code_that_counts_fuel_is_looked_for_where_it_is_wanted(
    folder: Path, counting: type[Counting]
) -> None:
    """What is in the cache without it is other code."""
    cache = Cache(folder / "cache")
    asyncio.run(Builder(cache).build(configured(folder, "hello")))

    release = asyncio.run(Builder(cache, counting).build(configured(folder, "hello", fuel=1000)))

    assert 1 == len(counting.asked)
    assert not broken(release)


def test_a_damaged_entry_is_compiled_anew(folder: Path, counting: type[Counting]) -> None:
    """It counts as none before anybody is asked to load it."""
    cache = Cache(folder / "cache")
    asyncio.run(Builder(cache).build(configured(folder, "hello")))
    (entry,) = cache.folder.glob("*.cwasm")
    good = entry.read_bytes()
    entry.write_bytes(good[:-1])

    release = asyncio.run(Builder(cache, counting).build(configured(folder, "hello")))

    assert (1, good) == (len(counting.asked), entry.read_bytes())
    assert not broken(release)


def test_a_fault_while_looking_up_is_not_the_applications(folder: Path, counting: type[Counting]) -> None:
    """It passes as itself, with the compiler closed."""

    class Broken(Cache):
        def find(self, digest: str, *, fuel: bool) -> Artifact | None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(
            Builder(Broken(folder / "cache"), counting).build(configured(folder, *["hello"] * 2 * BATCH))
        )

    assert 1 == counting.closed


def test_a_look_up_that_is_cancelled_ends(folder: Path, counting: type[Counting]) -> None:
    """The threads stop at the next application; the compiler is not asked, and is closed."""
    begun, go_on, looked = threading.Event(), threading.Event(), []

    class Slow(Cache):
        def find(self, digest: str, *, fuel: bool) -> Artifact | None:
            looked.append(digest)
            begun.set()
            go_on.wait()
            return None

    async def main() -> None:
        builder = Builder(Slow(folder / "cache"), counting)
        for number in range(BATCH):
            (folder / f"m{number}.wasm").write_bytes(b"%d" % number)
        names = [f"m{number}" for number in range(BATCH)]
        task = asyncio.create_task(builder.build(configured(folder, *names)))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(main())  # waits for its threads

    assert (1, 0, 1) == (len(looked), len(counting.asked), counting.closed)


def release(whole: Configuration, artifact: Artifact = ONE) -> Release:
    """A release of the configuration, all of it with the same code."""
    parts = (
        Part(config=item, number=number, artifact=artifact)
        for number, item in enumerate(whole.applications, 1)
    )
    return Release(configuration=whole, parts=tuple(parts))


BEFORE = configuration(Path("/c"), application("a"), application("b"))
OTHERS: dict[str, Any] = {
    "file_path": Path("/other"),
    "methods": ("POST",),
    "url_path": "/other",
    "host": "other.example",
    "function": "other",
    "env": {"KEY": "secret"},
    "allowed_outbound_hosts": ("tcp://db:1",),
    "limits": Limits(timeout=1.0),
    "abi": "env",
    "arguments": ("a",),
    "mounts": (Mount(name="/a", path=Path("/a")),),
    "digest": "sha256:00",
    "files": (Place(name="/f", where=Path("/f")),),
    "key_value": (KeyValueSettings(name="default", url="sqlite:////d"),),
    "tmp": True,
    "precise_clocks": True,
    "reuse": 2,
}
OTHER_SETTINGS: dict[str, Any] = {
    "path": Path("/d"),
    "listen_host": "::1",
    "listen_port": 1,
    "door": DoorLimits(connections=1),
    "workers": 3,
    "heartbeat": 6.0,
    "slots": 9,
    "memory": 10,
    "stack": 11,
    "drain": 12.0,
    "variable_files": (Path("/.env"),),
}


def test_every_field_is_told() -> None:
    """The tables below name every field there is but name, line and the applications."""
    assert {field.name for field in fields(ApplicationConfig)} - {"name", "line"} == OTHERS.keys()
    assert {field.name for field in fields(Configuration)} - {"applications", "tls"} == OTHER_SETTINGS.keys()


@given(
    st.sets(st.sampled_from(sorted(OTHERS))), st.sets(st.sampled_from(sorted(OTHER_SETTINGS))), st.booleans()
)
def test_differences(changed: set[str], settings: set[str], code: bool) -> None:  # noqa: FBT001 - Hypothesis gives it
    """Each field that differs is named where it is, and no other; no value is shown, it may be a secret."""
    other = replace(BEFORE.applications[0], **{name: OTHERS[name] for name in changed})
    applications = (replace(BEFORE.applications[1], line=99), other)
    after = replace(BEFORE, applications=applications, **{name: OTHER_SETTINGS[name] for name in settings})
    old, new = release(BEFORE), release(after)
    if code:
        new = replace(new, parts=(new.parts[0], replace(new.parts[1], artifact=TWO)))

    told = list(differences(old, new))

    words = {word for line in told if line.startswith("a changed: ") for word in line[11:].split(", ")}
    assert words == changed | ({"code"} if code else set())
    assert {line for line in told if not line.startswith("a ")} == {f"{name} changed" for name in settings}
    assert bool(words) + len(settings) == len(told)
    assert "secret" not in " ".join(told)


def test_who_came_and_who_went() -> None:
    """By name, also when all else is the same."""
    after = replace(BEFORE, applications=(BEFORE.applications[0], application("c")))

    assert ["c added", "b removed"] == list(differences(release(BEFORE), release(after)))
    assert [] == list(differences(release(BEFORE), release(BEFORE)))


def test_code_that_came_or_went_is_a_difference() -> None:
    """A part that is broken now, or was."""
    good, bad = release(BEFORE), release(BEFORE)
    bad = replace(bad, parts=(replace(bad.parts[0], artifact=None, error="is gone"), bad.parts[1]))

    assert ["a changed: code"] == list(differences(good, bad))
    assert ["a changed: code"] == list(differences(bad, good))


def test_a_fault_of_the_compiler_is_not_the_applications(folder: Path, counting: type[Counting]) -> None:
    """What is no refusal passes, with the compiler closed."""

    async def compile_(self: Any, data: bytes) -> Artifact:
        raise ZeroDivisionError

    counting.compile = compile_  # type: ignore[method-assign]  # a fault on purpose
    builder = Builder(Cache(folder / "cache"), counting)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(builder.build(configured(folder, "hello", "hello")))

    assert 1 == counting.closed
