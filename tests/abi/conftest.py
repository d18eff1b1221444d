"""Fixtures that more than one of these files use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from abi.commands import Commands, Test
from sandbox import Sandbox


@pytest.fixture(scope="session")
def commands(sandbox: Sandbox) -> Commands:
    """Runs WASI commands that do what a test tells them."""
    return Commands(sandbox)


@pytest.fixture
def in_folder(commands: Commands, tmp_path: Path) -> Callable[[Test], None]:
    """Runs a test in a command that has tmp_path as descriptor 3, which may be written."""

    async def main(test: Test) -> None:
        async with commands.at(tmp_path) as command:
            await test(command)

    return lambda test: asyncio.run(main(test))
