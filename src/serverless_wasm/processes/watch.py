"""Whether the files of a service have changed: `serve --watch`.

Paths come in; one signal goes out whenever what they lead to has changed and has been quiet for a moment.
It must never leave a thread or a descriptor behind, nor take a file that is half written for a whole one.

    async for _ in changes(lambda: (configuration, *modules)):   # raises CannotWatch
        ...                                                      # changes meanwhile are signalled next

The system's notices only say when to look: what counts is where each path leads, and the identity, size and
times of what is there. So a file may be replaced, a link on its way switched, a folder may appear; what gives
no notice, such as a change on a network's file system, is seen a second later.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from serverless_wasm.text import printable

QUIET = 0.2
"""Seconds without another change that make a change whole: a compiler writes a module in pieces."""
PATIENCE = 10.0
"""Seconds after which a change is signalled though the files are never quiet."""
LOOK_AGAIN = 1.0
"""Seconds without a notice after which we look all the same."""
_STEP = 50  # milliseconds for which notices are gathered, and after which a cancelled watch ends
_LINKS = 40  # symbolic links on the way to a file; Linux follows as many (path_resolution(7))
_TICK = 20_000_000  # nanoseconds by which a file's times may lag behind the clock

Sight = tuple[int, ...]
"""What a path leads to: the file's identity, size and times, or the number of the error instead."""
Sights = Mapping[Path, Sight]
Files = Callable[[], Iterable[Path]]


class CannotWatch(Exception):
    """The system does not watch the folders; the text says what to raise."""


def changes(files: Files) -> AsyncIterator[None]:
    """Signals each change of the files since this call; nothing runs between two signals.

    `files` is asked at each look, from another thread, so it may name others after a reload. They need not
    exist. A wait that is cancelled may be begun anew. Raises CannotWatch when the system does not watch as
    many folders.
    """
    return _Changes(files)


class _Changes:
    """No generator: that would be over once a wait is cancelled."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen = _sights(files())
        self._since = time.time_ns()

    def __aiter__(self) -> AsyncIterator[None]:
        return self

    async def __anext__(self) -> None:
        """Waits in a thread that ends with the wait, also when it is cancelled."""
        stop = Event()
        with ThreadPoolExecutor(1, "watch") as thread:
            try:
                self._seen = await asyncio.get_running_loop().run_in_executor(thread, self._wait, stop)
            finally:
                stop.set()
        self._since = time.time_ns()

    def _wait(self, stop: Event) -> Sights:
        """Waits until the files look different and have stayed so for a moment; or until `stop` is set."""
        seen = self._seen
        while not stop.is_set():
            seen = self._known(seen)
            found = _sights(seen)
            if found != seen:
                found = _quiet(found, stop)
            if found != seen:  # else it was a change and its undoing
                return found
            self._wait_for_notice(seen, stop)
        return seen

    def _known(self, seen: Sights) -> Sights:
        """What was seen last of each file.

        A new one came with a reload, and may have changed after the reload had read it: then it counts as
        unseen.
        """
        paths = tuple(self._files())
        known = dict(seen)
        for path, sight in _sights(path for path in paths if path not in seen).items():
            known[path] = () if sight[-1] > self._since - _TICK else sight
        return {path: known[path] for path in paths}

    def _wait_for_notice(self, seen: Sights, stop: Event) -> None:
        """Returns when the files look different or are others, when their folders are, or at `stop`."""
        folders = _folders(seen)
        try:
            with _watcher(folders) as watcher:  # looks after it was made, or a change between were missed
                while not stop.is_set() and seen == _sights(self._files()) and folders == _folders(seen):
                    watcher.watch(_STEP, _STEP, int(LOOK_AGAIN * 1000), stop)
        except (FileNotFoundError, PermissionError, WatchfilesRustInternalError):
            stop.wait(
                QUIET
            )  # a folder went or was closed to us, or something in it has a name that is no text


def _quiet(found: Sights, stop: Event) -> Sights:
    end = time.monotonic() + PATIENCE
    while not stop.wait(QUIET):
        latest = _sights(found)
        if latest == found or time.monotonic() > end:
            return latest
        found = latest
    return found


def _watcher(folders: Collection[Path]) -> RustNotify:
    """Notices of what happens in the folders themselves.

    Raises FileNotFoundError and PermissionError, and CannotWatch for everything else.
    """
    try:
        return RustNotify(
            [str(folder) for folder in folders],
            debug=False,
            force_polling=False,
            poll_delay_ms=0,
            recursive=False,
            ignore_permission_denied=False,  # else it ignores every error, the limits among them
        )
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, WatchfilesRustInternalError) as error:
        raise CannotWatch(_reason(error, len(folders))) from error


def _reason(error: Exception, folders: int) -> str:
    text = str(error)
    if "watch limit" in text:
        return f"cannot watch {folders} folders: too many; raise fs.inotify.max_user_watches with sysctl"
    if "os error 24" in text:  # EMFILE
        return "cannot watch files: too many programs do; raise fs.inotify.max_user_instances with sysctl"
    return f"cannot watch files: {printable(text)}"


def _sights(paths: Iterable[Path]) -> Sights:
    return {path: _sight(path) for path in paths}


def _sight(path: Path) -> Sight:
    try:
        facts = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def _folders(paths: Iterable[Path]) -> frozenset[Path]:
    """The folders in which a name may change so that one of the paths leads elsewhere."""
    found = {folder for path in paths for folder in _on_the_way(path.absolute())}
    return frozenset(folder for folder in found if _gives_notice(folder))


def _gives_notice(folder: Path) -> bool:
    """Whether we may read it, and its name is text: watchfiles takes no other."""
    text = str(folder)
    return text == text.encode("utf-8", "ignore").decode("utf-8") and os.access(folder, os.R_OK)


def _on_the_way(path: Path) -> Iterator[Path]:
    """The folder of each symbolic link on the way, and of its end: the file, or a name that is missing."""
    here, names, links = Path(path.anchor), [*path.parts[:0:-1]], 0
    while names:
        name = names.pop()
        entry = here.parent if name == ".." else here / name
        target = _target(entry) if links < _LINKS else None
        if target:
            yield here
            links += 1
            here = Path(target.anchor or here)
            names += target.parts[: 0 if target.anchor else None : -1]
        elif names and os.path.isdir(entry):  # noqa: PTH112 - Path.is_dir raises where we may not look
            here = entry
        else:
            yield here
            return


def _target(entry: Path) -> Path | None:
    """Where a symbolic link leads, as it is written; None for anything else."""
    try:
        return entry.readlink()
    except OSError:
        return None
