"""The unit files of docs/operation.md, as systemd itself reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = (Path(__file__).parent.parent / "docs/operation.md").read_text()
UNITS = dict(re.findall(r"```ini\n# /etc/systemd/system/(\S+)\n(.*?)```", PAGE, re.DOTALL))
PROGRAM = "/opt/serverless-wasm/bin/serverless-wasm"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Every option is one that systemd knows, with a value that it takes."""
    for name, text in UNITS.items():
        (tmp_path / name).write_text(text.replace(PROGRAM, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(f"./{name}" for name in UNITS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert set(UNITS) == {"serverless-wasm.service", "serverless-wasm.socket"}
    assert (0, "") == (done.returncode, done.stderr)


def test_the_service_is_what_the_program_expects() -> None:
    """Both commands name the same file, and nothing is forbidden that the engine needs."""
    service = UNITS["serverless-wasm.service"]
    (start, reload) = re.findall(
        rf"^Exec(?:Start|Reload)={PROGRAM} (?:serve|reload) (\S+)", service, re.MULTILINE
    )

    assert start == reload
    assert not re.search("^(MemoryDenyWriteExecute|LimitAS)=", service, re.MULTILINE)
