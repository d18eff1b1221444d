"""The process that compiles: what it makes runs, what it cannot is refused, and nobody else notices.

COMPILER_BOMBS=1 tries every bomb, for the ten seconds that it has in a service; otherwise three have one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from sandbox import Sandbox, wat
from server.doors import until
from serverless_wasm.errors import CompileError
from serverless_wasm.limits import MIB
from serverless_wasm.wasm.artifacts import Artifact, Cache
from serverless_wasm.wasm.code import InlineCompiler
from serverless_wasm.wasm.compiler import CompilerLimits, CompilerProcess, Compiling
from serverless_wasm.wasm.module_limits import ModuleLimits
from serverless_wasm.wasm.modules import load_module
from serverless_wasm.wasm.plan import Terms
from zoo.generated import (
    BOMBS,
    functions,
    g12_chain_of_calls,
    g12_locals,
    g12_nested_loops,
    number,
    sized,
)

PLAIN = wat('(module (memory (export "memory") 1) (func (export "handle") (drop (i32.const 7))))')
SPIN = wat('(module (memory (export "memory") 1) (func (export "handle") (loop (br 0))))')
UNLIMITED = ModuleLimits(**{field.name: 2**60 for field in fields(ModuleLimits)})
"""Lets every bomb through to the engine."""
ALL = bool(os.environ.get("COMPILER_BOMBS"))
SECONDS = 10 if ALL else 1
TRIED = BOMBS if ALL else (g12_locals, g12_nested_loops, g12_chain_of_calls)
TIGHT = CompilerLimits(cpu=SECONDS, cpu_per_mib=0, memory_per_mib=0, structure=UNLIMITED)
LONG = CompilerLimits(cpu=600, structure=UNLIMITED)
REASONS = ("s of processor time to compile", "GiB of memory to compile", "is not valid: ")
SMALL = replace(LONG, memory=200 * MIB)
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a loop of either kind."""

    def run_it(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(main)

    return run_it


@asynccontextmanager
async def compiling(cache: Cache, limits: CompilerLimits | None = None) -> AsyncIterator[CompilerProcess]:
    """A compiler that leaves nothing behind: no child, descriptor or unfinished file."""
    first = await asyncio.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    await first.communicate()  # opens what the loop keeps
    before = descriptors()
    compiler = CompilerProcess(cache, limits=limits)
    try:
        yield compiler
    finally:
        await compiler.close()
        async with asyncio.timeout(10):
            await until(lambda: not children() and descriptors() == before)
        assert [] == [path.name for path in cache.folder.iterdir() if path.name.startswith("part-")]


def descriptors() -> list[str]:
    """The open files of this process."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found.append(str(path.readlink()))
    return sorted(found)


def children() -> list[int]:
    """The compilers that this process has started and that are still there; tests have servers as well."""
    tasks = Path("/proc/self/task").glob("*/children")
    found = [int(number) for task in tasks for number in task.read_text().split()]
    return [child for child in found if b"serverless_wasm" in command(child)]


def command(process: int) -> bytes:
    """How it was called; nothing of one that has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def processor_time(process: int) -> float:
    """Seconds that a process has used so far; 0 when there is none."""
    try:
        values = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")


async def begun(task: asyncio.Task[Artifact]) -> int:
    """The child, when it has been compiling for a while."""
    await until(lambda: any(processor_time(child) > 0.5 for child in children()) or task.done())
    (child,) = children()
    return child


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("fuel", [False, True])
def test_what_the_child_makes_runs_here(cache: Cache, run: Run, *, fuel: bool) -> None:
    """Its engine has no pool, ours has; both have the same code settings, with fuel and without."""

    async def main() -> None:
        compiler = CompilerProcess(cache, fuel=fuel)
        artifact = await compiler.compile(PLAIN)
        await compiler.close()
        room = Sandbox(slots=2, fuel=fuel)
        linked = room.linker(()).link(load_module(room.engine, cache, artifact), Terms())
        assert (await room.run(linked)).busy > 0
        room.close()

    run(main())


def test_all_that_is_asked_at_once_is_compiled_by_one_child(cache: Cache, run: Run) -> None:
    """One after the other; the same bytes give the same artifact."""

    async def main() -> None:
        async with compiling(cache) as compiler:
            first, second, third = await asyncio.gather(*map(compiler.compile, (PLAIN, SPIN, PLAIN)))
            assert first == third != second
            assert len(children()) == 1

    run(main())


def test_what_is_in_the_cache_needs_no_child(cache: Cache, run: Run) -> None:
    """Nor does what is no module at all."""

    async def main() -> None:
        inline: Compiling = InlineCompiler(cache)
        artifact = await inline.compile(PLAIN)
        await inline.close()
        async with compiling(cache) as compiler:
            assert artifact == await compiler.compile(PLAIN)
            with pytest.raises(CompileError, match="wat2wasm"):
                await compiler.compile(b"(module)")
            assert children() == []

    run(main())


@pytest.mark.parametrize(("data", "reason"), [
    (g12_locals(), "has 50,000 local variables in function 0, 10,000 are allowed"),
    (PLAIN + b"\x01", "is not valid"),
    (wat("(module (memory i64 1))"), "is not valid: memory64 must be enabled"),
])  # fmt: skip
def test_refusals_come_back_as_they_are(cache: Cache, data: bytes, reason: str) -> None:
    """With their reason, and the child stays for the next."""

    async def main() -> None:
        async with compiling(cache) as compiler:
            with pytest.raises(CompileError) as caught:
                await compiler.compile(data)
            assert reason in str(caught.value)
            (child,) = children()
            await compiler.compile(PLAIN)
            assert [child] == children()

    asyncio.run(main())


@pytest.mark.parametrize("bomb", TRIED, ids=lambda bomb: bomb.__name__)
def test_bombs_are_refused_in_the_child_and_the_loop_keeps_turning(
    cache: Cache, bomb: Callable[[], bytes]
) -> None:
    """Even if no limit of their structure stood before: compiled, not valid, or beyond time or memory."""

    async def main() -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        async with compiling(cache, TIGHT) as compiler:
            turning = asyncio.create_task(turn())
            try:
                await compiler.compile(bomb())
            except CompileError as error:
                assert any(reason in str(error) for reason in REASONS), error  # noqa: PT017 - or none
            turning.cancel()
            assert turns > 5
            await compiler.compile(PLAIN)

    asyncio.run(main())


@pytest.mark.parametrize(("bomb", "limits", "reason"), [
    (g12_nested_loops, TIGHT, f"would need more than {SECONDS} s of processor time to compile"),
    (g12_chain_of_calls, SMALL, "would need more than 0.2 GiB of memory to compile"),
    (g12_nested_loops, replace(LONG, grace=1, patience=0), "did not compile within 1 s"),
], ids=["time", "memory", "patience"])  # fmt: skip
def test_each_limit_of_the_child_has_its_reason(
    cache: Cache, run: Run, bomb: Callable[[], bytes], limits: CompilerLimits, reason: str
) -> None:
    """And the next module is compiled in a new child."""

    async def main() -> None:
        async with compiling(cache, limits) as compiler:
            with pytest.raises(CompileError) as caught:
                await compiler.compile(bomb())
            assert reason == str(caught.value)
        async with compiling(cache) as compiler:
            await compiler.compile(PLAIN)

    run(main())


def test_processor_time_is_counted_for_each_module(cache: Cache) -> None:
    """A child that has used up more than one may is none the worse for it."""
    heavy = functions([b"\x01" + number(50_000) + b"\x7f\x0b"] * 300)

    async def main() -> None:
        async with compiling(cache, replace(TIGHT, cpu=2)) as compiler:
            first = await _child_after(compiler, heavy)
            while processor_time(first) < 4:
                heavier = heavy + b"\0" + sized(sized(b"%f" % processor_time(first)))
                assert first == await _child_after(compiler, heavier)

    asyncio.run(main())


async def _child_after(compiler: CompilerProcess, data: bytes) -> int:
    await compiler.compile(data)
    (child,) = children()
    return child


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGTERM])
def test_a_child_that_is_killed_fails_its_module_alone(cache: Cache, run: Run, number: int) -> None:
    """The one that waits behind it is compiled in a new child."""

    async def main() -> None:
        async with compiling(cache, LONG) as compiler:
            task = asyncio.create_task(compiler.compile(g12_nested_loops()))
            child = await begun(task)
            behind = asyncio.create_task(compiler.compile(PLAIN))
            os.kill(child, number)
            with pytest.raises(CompileError) as caught:
                await task
            assert f"was not compiled: the compiler ended (signal {number})" in str(caught.value)
            await behind

    run(main())


def test_a_compilation_that_nobody_wants_any_more_ends(cache: Cache, run: Run) -> None:
    """Begun, or waiting for its turn; what is behind them is compiled."""

    async def main() -> None:
        async with compiling(cache, LONG) as compiler:
            task = asyncio.create_task(compiler.compile(g12_nested_loops()))
            child = await begun(task)
            waiting = asyncio.create_task(compiler.compile(SPIN))
            behind = asyncio.create_task(compiler.compile(PLAIN))
            await asyncio.sleep(0.01)
            waiting.cancel()
            task.cancel()
            await behind
            assert task.cancelled()
            assert waiting.cancelled()
            assert [child] != children()

    run(main())


def test_closing_ends_what_is_being_compiled(cache: Cache, run: Run) -> None:
    """Whoever waits is told, and so is who comes later."""

    async def main() -> None:
        async with compiling(cache, LONG) as compiler:
            task = asyncio.create_task(compiler.compile(g12_nested_loops()))
            await begun(task)
            behind = asyncio.create_task(compiler.compile(PLAIN))
            await asyncio.sleep(0.01)
            await compiler.close()
            for ended in (task, behind, asyncio.create_task(compiler.compile(SPIN))):
                with pytest.raises(CompileError, match="was not compiled: "):
                    await ended

    run(main())


def test_closing_while_the_child_starts_ends_it(cache: Cache, run: Run) -> None:
    """However far it has come."""

    async def main() -> None:
        for turns in range(12):
            async with compiling(cache, LONG) as compiler:
                task = asyncio.create_task(compiler.compile(g12_nested_loops()))
                await until(compiler._turn.locked)
                for _ in range(turns):
                    await asyncio.sleep(0)
                await compiler.close()
                with pytest.raises(CompileError, match="was not compiled: "):
                    await task

    run(main())


def test_a_child_that_has_nothing_to_do_ends(cache: Cache, run: Run) -> None:
    """And another is started when there is something again."""

    async def main() -> None:
        async with compiling(cache, CompilerLimits(idle=0.01)) as compiler:
            for data in (PLAIN, SPIN):
                await compiler.compile(data)
                await until(lambda: not children())

    run(main())


def test_a_child_that_was_killed_while_it_rested_is_replaced(cache: Cache, run: Run) -> None:
    """No module is blamed for it."""

    async def main() -> None:
        async with compiling(cache) as compiler:
            os.kill(await _child_after(compiler, PLAIN), signal.SIGKILL)
            await until(lambda: not children())
            await compiler.compile(SPIN)

    run(main())


def test_a_child_that_is_killed_just_before_it_is_asked_is_replaced(cache: Cache, run: Run) -> None:
    """Nobody knows yet that it is gone; the module has another one, and is not blamed either."""

    async def main() -> None:
        async with compiling(cache) as compiler:
            child = await _child_after(compiler, PLAIN)
            os.kill(child, signal.SIGSTOP)
            task = asyncio.create_task(compiler.compile(SPIN))
            await until(compiler._turn.locked)
            await asyncio.sleep(0.05)
            os.kill(child, signal.SIGKILL)
            await task

    run(main())


def test_a_child_has_little_of_its_parents(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no descriptor, no core file, no new privileges, and no haste."""
    monkeypatch.setenv("SECRET_OF_THE_PARENT", "canary")

    async def main() -> None:
        async with compiling(cache) as compiler:
            await compiler.compile(PLAIN)
            facts = Path(f"/proc/{children()[0]}")
            assert b"canary" not in (facts / "environ").read_bytes()
            open_files = [str(path.readlink()) for path in (facts / "fd").iterdir()]
            assert all(name.startswith("pipe:") or "memory-image" in name for name in open_files), open_files
            assert "NoNewPrivs:\t1" in (facts / "status").read_text()
            core = next(line for line in (facts / "limits").read_text().splitlines() if "core" in line)
            assert core.split()[4] == "0"
            assert os.getpriority(os.PRIO_PROCESS, children()[0]) == min(19, os.nice(0) + 10)
            assert os.getsid(children()[0]) != os.getsid(0)

    asyncio.run(main())


@pytest.mark.parametrize("busy", [True, False])
def test_a_child_does_not_outlive_its_parent(cache: Cache, *, busy: bool) -> None:
    """Whether it is compiling or has nothing to do, when the parent is killed."""
    program = f"""if True:
        import asyncio, pathlib, sys
        sys.path[:0] = {sys.path!r}
        from wasm.test_compiler import LONG, PLAIN, begun, children
        from serverless_wasm.wasm.artifacts import Cache
        from serverless_wasm.wasm.compiler import CompilerProcess
        from zoo.generated import g12_nested_loops
        async def main():
            compiler = CompilerProcess(Cache(pathlib.Path({str(cache.folder)!r})), limits=LONG)
            await compiler.compile(PLAIN)
            if {busy}:
                task = asyncio.create_task(compiler.compile(g12_nested_loops()))
                await begun(task)
            print(*children(), flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        parent.kill()

    async def gone() -> None:
        async with asyncio.timeout(10):
            await until(lambda: not _runs(child))

    asyncio.run(gone())


def _runs(process: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()  # nobody may be there to bury it
    except (FileNotFoundError, ProcessLookupError):
        return False


LIES = {
    "no length": "os.write(1, b'x')",
    "a length without end": "os.write(1, b'\\xff' * 8 + b'x' * 200_000)",
    "no JSON": "say(b'not JSON')",
    "no object": "say(b'[1]')",
    "very deep": "say(b'[' * 60_000)",
    "nothing said": "say(b'{}')",
    "another module": "say(json.dumps({'module': {'digest': 'f' * 64, 'memory': 0, 'table_elements': 0,"
    " 'imports_memory': False}}).encode())",
    "facts of another type": 'say(b\'{"module": {"digest": 7}}\')',
    "a reason of another type": 'say(b\'{"refused": [1], "last": 3}\')',
    "an end": "os._exit(3)",
    "an end with words": "os.write(2, b'one\\ntwo\\x1b[2J\\n'); os._exit(3)",
    "a closed pipe": "os.close(1); time.sleep(600)",
    "a flood of words": "os.write(2, b'x' * 9_000_000)",
    "silence": "time.sleep(600)",
    "a child of its own": "os.fork() and os._exit(3); os.setsid(); time.sleep(20)",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_child_that_was_taken_over_can_only_refuse(
    cache: Cache, lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it answers instead: one visible line, within the time, and the next is asked for anew."""
    (tmp_path / "sitecustomize.py").write_text(
        "import json, os, struct, sys, time\n"
        "def say(data): os.write(1, struct.pack('!Q', len(data)) + data); time.sleep(600)\n"
        f"if '-m' in sys.orig_argv: {lie}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    async def main() -> None:
        async with compiling(cache, CompilerLimits(grace=0.5, patience=0)) as compiler:
            for data in (PLAIN, SPIN):
                with pytest.raises(CompileError, match=r"was not compiled|did not compile") as caught:
                    await compiler.compile(data)
                assert str(caught.value).isprintable()

    asyncio.run(main())


def test_a_child_that_cannot_start_is_told(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as in a program that is not Python's own."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def main() -> None:
        async with compiling(cache) as compiler:
            with pytest.raises(CompileError, match=r"no process starts \(No such file or directory\)"):
                await compiler.compile(PLAIN)

    asyncio.run(main())


@pytest.mark.parametrize(("size", "cpu", "memory"), [
    (0, 10, 1536 * MIB), (MIB, 10, 1536 * MIB), (2 * MIB, 14, 1552 * MIB), (64 * MIB, 262, 2544 * MIB),
])  # fmt: skip
def test_large_modules_may_cost_more(size: int, cpu: int, memory: int) -> None:
    """In proportion to what is beyond the first MiB."""
    allowance = CompilerLimits().allowance(size)

    assert (cpu, memory) == (allowance.cpu, allowance.memory)
    assert allowance.wall > cpu
