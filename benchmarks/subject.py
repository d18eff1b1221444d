"""The subject as it ships: `python -m serverless_wasm FILE`, one worker, default limits.

Applications come in; a contestant that serves them goes out.
It must never be given a setting that a peer has no match for, but where a scenario says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant, Launch
from benchmarks.modules import BENCH

NAME = "ours"
CACHE = BENCH / "cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One `[[applications]]` table: where it answers, its module, and what else it says."""

    url_path: str
    module: Path
    function: str = "handle"
    more: str = ""
    """Further lines of TOML of this table, such as `limits.request_body = "10MiB"`."""


def subject(
    applications: Sequence[Application],
    *,
    name: str = NAME,
    workers: int = 1,
    server: str = "",
    cache: Path | None = None,
) -> Contestant:
    """The service with these applications; `server` is further lines of the [server] table.

    `cache` is where compiled modules are kept: by default a folder of .bench that lasts.
    """

    def prepare(folder: Path, port: int) -> Launch:
        tables = "\n".join(map(_table, applications))
        config = folder / "config.toml"
        config.write_text(
            f'listen_address = "127.0.0.1:{port}"\n[server]\nworkers = {workers}\n{server}\n{tables}',
            encoding="utf-8",
        )
        return Launch(
            command=(sys.executable, "-m", "serverless_wasm", str(config)),
            environment={"XDG_CACHE_HOME": str(cache or CACHE)},
            silent=True,
        )

    return Contestant(name=name, about="this service, as shipped", isolation="fresh", prepare=prepare)


def _table(application: Application) -> str:
    return (
        f'[[applications]]\nfile_path = "{application.module}"\nurl_path = "{application.url_path}"\n'
        f'function = "{application.function}"\n{application.more}\n'
    )
