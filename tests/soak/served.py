"""The real program under load: started once, watched from outside, its log read at the end.

Modules and tables of a configuration come in; a port, what the process holds, and its records go out.
It must never restart what has died: a soak counts that.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from held import Held
from program import PROGRAM, Folder
from sandbox import wat

START = 60.0
STOP = 20.0


class Served:
    """The program with a configuration, from the beginning of a `with` to its end."""

    def __init__(self, path: Path, modules: Mapping[str, bytes | str], tables: str) -> None:
        self._folder = Folder(path)
        self._log = path / "log"
        for name, module in modules.items():
            (path / f"{name}.wasm").write_bytes(wat(module) if isinstance(module, str) else module)
        self._folder.config(tables)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*PROGRAM, "config.toml"],
                cwd=self._folder.path, env=self._folder.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        try:
            self.port = self._listening()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def _listening(self) -> int:
        end = time.monotonic() + START
        while time.monotonic() < end and self.alive:
            for record in self.records():
                if record["event"] == "service_started":
                    return int(record["address"].rpartition(":")[2])
            time.sleep(0.02)
        raise AssertionError(f"the service does not listen: {self._log.read_text()}")

    @property
    def alive(self) -> bool:
        """Whether the process that was started still runs; nothing ever starts another."""
        return self._process.poll() is None

    @property
    def processes(self) -> list[int]:
        """The supervisor, its workers, and whatever else it has started."""
        found = [self._process.pid]
        for pid in found:
            with suppress(FileNotFoundError):  # ended meanwhile
                found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found

    @property
    def held(self) -> Held:
        """What they hold now."""
        return Held.by(self.processes)

    @property
    def resident(self) -> int:
        """Bytes of memory that they have to themselves."""
        texts = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.processes)
        return 1024 * sum(int(text.split("\nPss:", 1)[1].split()[0]) for text in texts)

    def end(self) -> int:
        """Stops it as an operator does; the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP)

    def records(self) -> list[dict[str, Any]]:
        """Every record so far; each line must be one, in visible ASCII."""
        text = self._log.read_bytes()
        whole, _, _ = text.rpartition(b"\n")
        return [_record(line) for line in whole.split(b"\n") if whole]


def _record(line: bytes) -> dict[str, Any]:
    assert line.isascii(), line
    assert line.decode().isprintable(), line
    record: dict[str, Any] = json.loads(line)
    return record
