"""What a person sees of a long download: bars on the terminal, above nothing else.

How far each one is comes in; bars on stderr go out, and are gone when all is there.
It must never write to a pipe, nor onto a line of the log.
"""

from __future__ import annotations

import sys
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from serverless_wasm.events import Emit, Event
from serverless_wasm.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PAUSE = 0.1
"""Seconds between two pictures: nobody reads more."""


class Bars:
    """A Watch that shows bars while it is entered, and an Emit that hides them for what it passes on."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._shown = 0.0

    def __enter__(self) -> Self:
        """Begins to show, where there is a terminal."""
        self._bars = _bars() if sys.stderr.isatty() else None
        self._tasks = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Takes the bars away."""
        if self._bars:
            self._bars.stop()
        self._bars = None

    def emit(self, event: Event) -> None:
        """Passes an event on, to a line of its own."""
        if self._bars:
            self._bars.stop()
        self._emit(event)

    def watch(self, url: str, done: int, size: int | None) -> None:
        """Shows how far a download is; its bar is taken away when it has ended."""
        if self._bars is None:
            return
        if url not in self._tasks:
            self._tasks[url] = self._bars.add_task(printable(url, 60))
        self._bars.update(self._tasks[url], completed=done, total=size, visible=done != size)
        now = monotonic()
        if now - self._shown >= _PAUSE:
            self._shown = now
            self._bars.start()
            self._bars.console.show_cursor()  # a signal may end this process before the bars
            self._bars.refresh()


def _bars() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    return Progress(
        *columns,
        TransferSpeedColumn(),
        console=Console(stderr=True, highlight=False),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
