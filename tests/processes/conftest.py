"""Services of several processes, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from processes.running import Running, hello_folder
from program import Folder

Serve = Callable[..., Running]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with hello.wasm."""
    return hello_folder(tmp_path)


@pytest.fixture
def serve(folder: Folder) -> Iterator[Serve]:
    """Serves config.toml of the folder; what a test has not ended is killed."""
    with ExitStack() as stack:
        yield lambda *arguments, **more: stack.enter_context(Running(folder, *arguments, **more))
