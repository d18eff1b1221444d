"""Reloads where values come from files: they are watched, read anew, and secrets stay out of the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from processes.conftest import Serve
from processes.running import Running, application, server
from program import Folder

CANARY = "hunter2-canary"
VARIABLES = """
[variables]
path = { default = "/hello" }
key = { secret = true, file = "secret" }
"""
TABLE = application("hello", "{{ path }}") + 'env = { key = "{{ key }}", other = "{{ key }}" }\n'


def changes(service: Running) -> list[str]:
    """What the next reload has changed; the canary is not in its record."""
    record = service.record("reloaded")
    assert CANARY not in str(record)
    told: list[str] = record["changes"]
    return told


def test_watching_the_files_of_values(folder: Folder, serve: Serve) -> None:
    """The files of a variable, of the command line and `.env` are as good as the configuration itself."""
    secret, lines, more = (folder.path / name for name in ("secret", ".env", "more"))
    secret.write_text(f"{CANARY}1\n")
    more.write_text("")
    folder.config(VARIABLES + TABLE + server())
    service = serve("--watch", "--variables", "more")
    assert 200 == service.get("/hello")[0]

    secret.write_text(f"{CANARY}2\n")
    assert ["hello changed: env"] == changes(service)
    lines.write_text("SERVERLESS_WASM_VARIABLE_PATH=/moved\n")
    assert ["hello changed: url_path"] == changes(service)
    more.write_text("path=/again\n")
    assert ["hello changed: url_path"] == changes(service)
    assert [404, 404, 200] == [service.get(path)[0] for path in ("/hello", "/moved", "/again")]
    more.write_text(f"path={CANARY}\n")  # no path, and no secret either
    refused = service.record("reload_refused")
    assert 'url_path: found "{{ path }}", expected' in refused["reasons"][0]
    assert CANARY not in str(refused)
    more.write_text("path=/again\n")
    secret.unlink()
    assert "variables.key: found no value" in service.record("reload_refused")["reasons"][0]
    secret.write_text(f"{CANARY}3\n")
    assert ["hello changed: env"] == changes(service)
    service.stop()


def test_workers_are_not_given_variables(
    folder: Folder, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the configuration's reader needs is in the environment of nobody that runs guests."""
    monkeypatch.setenv("SERVERLESS_WASM_VARIABLE_KEY", CANARY)
    folder.config(VARIABLES.replace(', file = "secret"', "") + TABLE + server())
    service = serve()
    assert 200 == service.get("/hello")[0]

    found = {pid: Path(f"/proc/{pid}/environ").read_text() for pid in service.serving()}

    assert found
    assert all("PATH=" in text and CANARY not in text for text in found.values())
    service.stop()
