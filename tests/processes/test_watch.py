"""Watching real files, replaced in every way that editors, compilers and deployments have."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from serverless_wasm.processes import watch
from serverless_wasm.processes.watch import changes

BOUND = 20
"""Seconds within which every change must have been signalled."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a test; no thread and no descriptor may be left when it is over."""

    async def bounded() -> None:
        before, threads = left(), threading.active_count()
        await asyncio.wait_for(main, 60)
        assert threading.active_count() == threads
        async with asyncio.timeout(BOUND):
            while left() != before:  # noqa: ASYNC110 - watchfiles' own thread ends a moment later, untold
                await asyncio.sleep(0)

    asyncio.run(bounded())


def left() -> tuple[int, int]:
    """How many threads and descriptors there are."""
    tasks = Path("/proc/self/task")
    threads = len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()
    return threads, len(os.listdir("/dev/fd"))  # noqa: PTH208 - names alone


def signals(*files: Path) -> AsyncIterator[None]:
    return changes(lambda: files)


async def signalled(watched: AsyncIterator[None]) -> None:
    """The next signal, which must come."""
    await asyncio.wait_for(anext(watched), BOUND)


async def silent(watched: AsyncIterator[None]) -> None:
    """No signal for longer than a change takes."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(watched), 3 * watch.QUIET)


@pytest.fixture
def notices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is seen without a notice."""
    monkeypatch.setattr(watch, "LOOK_AGAIN", 1000)


def write(path: Path) -> None:
    path.write_text("changed")


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_text("changed")
    new.rename(path)


def replace_by_copy(path: Path) -> None:
    backup = path.with_name("backup")
    path.rename(backup)
    path.write_text("changed")


def link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("changed")
    path.unlink()
    path.symlink_to("target")


def touch(path: Path) -> None:
    os.utime(path, (1, 1))


def close_to_readers(path: Path) -> None:
    path.chmod(0)


def replace_folder(path: Path) -> None:
    old = path.parent.rename(path.parent.with_name("old"))
    path.parent.mkdir()
    shutil.copy(old / path.name, path)


WAYS: Sequence[Callable[[Path], None]] = (
    write,
    replace,
    replace_by_copy,
    link,
    touch,
    close_to_readers,
    Path.unlink,
)


@pytest.mark.usefixtures("notices")
@pytest.mark.parametrize("change", WAYS, ids=lambda change: change.__name__)
def test_every_way_to_change_a_file(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """However a file changes, there is one signal."""
    path = tmp_path / "folder" / "config.toml"
    path.parent.mkdir()
    path.write_text("x")

    async def main() -> None:
        watched = signals(path)
        await silent(watched)
        waiting = asyncio.create_task(signalled(watched))
        await asyncio.sleep(watch.QUIET)  # so that most often the wait has begun; else it is seen at once
        change(path)
        await waiting
        await silent(watched)

    run(main())


def test_what_gives_no_notice(tmp_path: Path) -> None:
    """A folder that another takes the place of is seen by looking again."""
    path = tmp_path / "folder" / "config.toml"
    path.parent.mkdir()
    path.write_text("x")

    async def main() -> None:
        watched = signals(path)
        waiting = asyncio.create_task(signalled(watched))
        await asyncio.sleep(watch.QUIET)
        replace_folder(path)
        await waiting

    run(main())


def test_one_signal_for_a_file_that_is_written_in_pieces(tmp_path: Path) -> None:
    """A signal comes once the file is quiet, and a half written file is none."""
    path = tmp_path / "a.wasm"
    path.touch()

    async def main() -> None:
        watched = signals(path)
        waiting = asyncio.create_task(signalled(watched))
        for _ in range(8):
            with path.open("a") as file:
                file.write("piece")
            done, _ = await asyncio.wait([waiting], timeout=watch.QUIET / 4)
            assert not done
        await waiting
        await silent(watched)

    run(main())


def test_a_file_that_is_never_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes all the time is signalled all the same."""
    monkeypatch.setattr(watch, "PATIENCE", 0.5)
    path = tmp_path / "a.wasm"
    path.touch()

    async def main() -> None:
        watched = signals(path)
        waiting = asyncio.create_task(signalled(watched))
        while not waiting.done():
            with path.open("a") as file:
                file.write("piece")
            await asyncio.wait([waiting], timeout=watch.QUIET / 4)
        await waiting

    run(main())


@pytest.mark.usefixtures("notices")
def test_switched_links(tmp_path: Path) -> None:
    """A link that is switched at once is seen at any place of the path, like `..data` of a mounted volume."""
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        for name in ("config.toml", "a.wasm"):
            (tmp_path / release / name).write_text("same")
    data = tmp_path / "..data"
    data.symlink_to("one")
    (tmp_path / "config.toml").symlink_to("..data/config.toml")
    current = tmp_path / "current"
    current.symlink_to(tmp_path / "..data")

    def switch(release: str) -> None:
        (tmp_path / "tmp").symlink_to(release)
        (tmp_path / "tmp").rename(data)

    async def main() -> None:
        watched = signals(tmp_path / "config.toml", tmp_path / "sub" / ".." / "current" / "a.wasm")
        for release in ("two", "one", "two"):
            switch(release)
            await signalled(watched)
        (tmp_path / "one" / "config.toml").write_text("nobody's")
        await silent(watched)
        (tmp_path / "two" / "config.toml").write_text("ours")
        await signalled(watched)

    (tmp_path / "sub").mkdir()
    run(main())


@pytest.mark.usefixtures("notices")
def test_files_and_folders_that_appear(tmp_path: Path) -> None:
    """A file is noticed when it appears, also when its folders appear with it, one by one."""
    path = tmp_path / "a" / "b" / "c.wasm"

    async def main() -> None:
        watched = signals(path)
        waiting = asyncio.create_task(signalled(watched))
        (tmp_path / "a").mkdir()
        await asyncio.sleep(0)
        (tmp_path / "a" / "b").mkdir()
        assert not waiting.done()
        path.write_text("x")
        await waiting
        shutil.rmtree(tmp_path / "a")
        await signalled(watched)
        path.parent.mkdir(parents=True)
        path.write_text("x")
        await signalled(watched)

    run(main())


def test_strangers(tmp_path: Path) -> None:
    """Other files of the same folder are no matter, nor is a change that is undone at once."""
    path = tmp_path / "config.toml"
    path.write_text("x")

    async def main() -> None:
        watched = signals(path)
        (tmp_path / "service.log").write_text("x")
        path.rename(tmp_path / "other")
        (tmp_path / "other").rename(path)
        os.utime(path)
        await signalled(watched)  # its times are new
        (tmp_path / "service.log").write_text("y")
        (tmp_path / ".config.toml.swp").touch()
        await silent(watched)

    run(main())


def test_changes_while_nobody_waits(tmp_path: Path) -> None:
    """What changes before the first wait, or during a reload, is signalled with the next wait, once."""
    path = tmp_path / "config.toml"
    path.write_text("x")

    async def main() -> None:
        watched = signals(path)
        for text in ("y", "zz"):
            path.write_text(text)
            await signalled(watched)
        path.write_text("another")
        path.write_text("and another")
        await signalled(watched)
        await silent(watched)

    run(main())


def test_other_files_after_a_reload(tmp_path: Path) -> None:
    """Files that a reload brings are watched, also what happened to them while it ran; others no more."""
    old, new, late = (tmp_path / name / "a.wasm" for name in ("old", "new", "late"))
    for path in (old, new, late):
        path.parent.mkdir()
        path.write_text("x")
        os.utime(path, (1, 1))
    files = [old]

    async def main() -> None:
        watched = changes(lambda: files)
        old.write_text("changed")
        await signalled(watched)
        files[:] = [new, late]
        late.write_text("changed while the reload reads it")
        await signalled(watched)
        files[:] = [new]
        await silent(watched)
        new.write_text("changed")
        await signalled(watched)
        old.write_text("nobody's any more")
        await silent(watched)
        files.clear()
        await silent(watched)

    run(main())


def test_other_files_in_a_wait(tmp_path: Path) -> None:
    """A reload that ends after the next wait has begun changes what is watched, too."""
    old, new = tmp_path / "old.wasm", tmp_path / "new.wasm"
    new.write_text("x")
    os.utime(new, (1, 1))
    files = [old]

    async def main() -> None:
        watched = changes(lambda: files)
        await silent(watched)
        waiting = asyncio.create_task(signalled(watched))
        await asyncio.sleep(0)
        files[:] = [new]
        await asyncio.sleep(2 * watch.LOOK_AGAIN)  # so that it is most often seen before it changes
        write(new)
        await waiting

    run(main())


def test_names_in_another_encoding(tmp_path: Path) -> None:
    """A name that is no text is watched too, by looking again; a stranger of such a name is no matter."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff/a\xfe.wasm"))
    path.parent.mkdir()

    async def main() -> None:
        watched = signals(path)
        waiting = asyncio.create_task(signalled(watched))
        await asyncio.sleep(watch.QUIET)
        write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe")))
        done, _ = await asyncio.wait([waiting], timeout=2 * watch.QUIET)
        assert not done
        write(path)
        await waiting

    run(main())


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    """Circles of links, a file in a folder's place, and names that are too long are waited for as well."""
    circle = tmp_path / "circle"
    circle.symlink_to("circle")
    (tmp_path / "file").touch()
    paths = [circle / "a", tmp_path / "file" / "a", tmp_path / ("x" * 300), tmp_path / "dangling"]
    (tmp_path / "dangling").symlink_to("away/a.wasm")

    async def main() -> None:
        watched = signals(*paths)
        await silent(watched)
        watched = signals(*paths)
        (tmp_path / "away").mkdir()
        (tmp_path / "away" / "a.wasm").touch()
        await signalled(watched)

    run(main())


def test_cancelled(tmp_path: Path) -> None:
    """A wait that is cancelled leaves nothing behind (`run` counts), at whatever moment it is cancelled."""
    path = tmp_path / "config.toml"

    async def main() -> None:
        for turns in range(6):
            waiting = asyncio.create_task(signalled(signals(path)))
            for _ in range(turns):
                await asyncio.sleep(0.01 * turns)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    run(main())


PROGRAM = """
import asyncio, sys
from pathlib import Path
from serverless_wasm.processes.watch import CannotWatch, changes
Path("/proc/sys/user", sys.argv[1]).write_text(sys.argv[2])
async def main():
    try:
        await anext(changes(lambda: [Path(name) for name in sys.argv[3:]]))
    except CannotWatch as error:
        print(error)
asyncio.run(main())
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="unshare is missing")
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("max_inotify_watches", "cannot watch 3 folders: too many; raise fs.inotify.max_user_watches"),
        ("max_inotify_instances", "cannot watch files: too many programs do; raise fs.inotify.max_user_inst"),
    ],
)
def test_more_folders_than_the_system_watches(tmp_path: Path, limit: str, words: str) -> None:
    """Where the system sets a limit, the sentence names it."""
    names = []
    for name in "abc":
        (tmp_path / name).mkdir()
        names.append(str(tmp_path / name / "a.wasm"))
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", PROGRAM, limit, "0", *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if "unshare" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("this machine has no user namespaces")

    assert done.stdout.startswith(words), done.stderr
    assert len(done.stdout.splitlines()) == 1
