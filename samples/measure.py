"""What each sample costs: `scripts/samples --measure [language ...]`, for docs/languages.md.

Names of modules come in; rows of a table go out. Each sample is served alone, from a temporary folder.
It must never measure a module that was compiled before: the cache begins empty.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

SAMPLES = Path(__file__).parent
FOLDERS = ("cgi", "components")
MODULES = SAMPLES.parent / ".samples"
HEAD = 'listen_address = "127.0.0.1:0"\n[server]\nworkers = 1\n'
AT_LEAST, AT_MOST, SECONDS = 20, 2000, 3.0


@contextmanager
def service(folder: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The port it listens on, and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "serverless_wasm", "config.toml"],
        cwd=folder / "samples/one",
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(record(process, "service_started")["address"].rpartition(":")[2]), process
    finally:
        process.terminate()
        process.communicate()


def start(folder: Path) -> float:
    """Seconds of processor time of a start and a stop; with an empty cache it compiles as well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with service(folder):
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def record(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """The next record of that event."""
    for line in process.stderr or ():
        found: dict[str, Any] = json.loads(line)
        if found["event"] == "application_broken":
            break
        if found["event"] == event:
            return found
    raise SystemExit(f"the service ended or could not load the module: {line}")


def requests(port: int, path: str, process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """The records of invocations on one connection; the first few are left out."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    records: list[dict[str, Any]] = []
    end = time.perf_counter() + SECONDS
    while len(records) < AT_LEAST or (len(records) < AT_MOST and time.perf_counter() < end):
        connection.request("GET", f"{path}?name=Ada")
        answer = connection.getresponse()
        if answer.status != 200 or b"Ada" not in answer.read():
            raise SystemExit(f"{path} answered {answer.status}")
        records.append(record(process, "invocation_finished"))
    connection.close()
    return records[5:]


def prepared(folder: Path, samples: Path, table: str) -> Path:
    """Makes the folder that one sample is served from; its module."""
    module = MODULES / Path(*re.findall(r'file_path = ".*/(.*)"', table))
    (folder / ".samples").mkdir()
    shutil.copy(module, folder / ".samples")
    shutil.copytree(samples, folder / "samples/one")
    (folder / "samples/one/config.toml").write_text(f"{HEAD}[[applications]]\n{table}")
    return module


def row(samples: Path, table: str) -> str:
    """A sample's figures, in the columns that HEADING names."""
    path = re.findall(r'url_path = "(.*?)(?:/\.\.\.)?"', table)[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        module = prepared(folder, samples, table)
        compiling = start(folder) - start(folder)
        with service(folder) as (port, process):
            records = requests(port, path, process)
    cells = [
        f"`{'component-' if samples.name == 'components' else ''}{path[1:]}`",
        f"{module.stat().st_size:,}",
        f"{max(compiling, 0):.1f} s",
        *(f"{median(each[key] for each in records):.2f} ms" for key in ("wall_ms", "cpu_ms")),
        str(records[0]["host_calls"]),
        f"{max(each['memory_peak'] for each in records) / 2**20:.2f} MiB",
    ]
    return f"| {' | '.join(cells)} |\n"


HEADING = """| sample | bytes | compile | wall | processor | host calls | memory |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def main(wanted: list[str]) -> None:
    """Prints the table of the samples whose modules are wanted."""
    sys.stdout.write(HEADING)
    for samples in (SAMPLES / name for name in FOLDERS):
        for table in (samples / "config.toml").read_text().split("[[applications]]\n")[1:]:
            if any(f'/{module}.wasm"' in table for module in wanted):
                sys.stdout.write(row(samples, table))
                sys.stdout.flush()


main(sys.argv[1:])
