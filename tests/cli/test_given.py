"""`--variable` and `--variables`: what they give is served, and no command shows a secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from program import Folder

ASKS = """(module
    (import "env" "db_get" (func $get (param i32 i64 i32 i64) (result i64)))
    (import "env" "response_set_body" (func $body (param i32 i64)))
    (memory (export "memory") 1) (data (i32.const 0) "key")
    (func (export "handle")
        (call $body (i32.const 64)
            (call $get (i32.const 0) (i64.const 3) (i32.const 64) (i64.const 100)))))"""
"""Answers with its variable `key`."""
CONFIG = """
[variables]
api_key = { required = true, secret = true }
greeting = { default = "Bonjour" }

[[applications]]
file_path = "asks.wasm"
url_path = "/asks"
env = { key = "{{ greeting }} {{ api_key }}" }
"""
CANARY = "hunter2-canary"
PREFIX = "SERVERLESS_WASM_VARIABLE_"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with an application that has a secret."""
    made = Folder(tmp_path)
    made.module("asks.wasm", ASKS)
    made.config(CONFIG)
    return made


def shown(folder: Folder, *arguments: str) -> tuple[int, str]:
    """The exit code of `check`, and all that it shows; the canary is not in it."""
    done = folder.run("check", "config.toml", *arguments)
    assert CANARY not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_given_on_the_command_line(folder: Folder) -> None:
    """Words come before the lines of a file; a guest reads what they make, and the log does not."""
    (folder.path / "more").write_text(f"api_key='{CANARY}'\ngreeting=Hi\n")

    with folder.serve("--workers", "0", "--variables", "more", "--variable", "greeting=A=1") as service:
        assert (200, f"A=1 {CANARY}".encode()) == service.get("/asks")
        service.process.terminate()
        code, out, records = service.end()

    assert 0 == code
    assert CANARY not in out + str(records) + str(service.before) + str(service.started)


def test_given_by_the_environment(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers serve it as well."""
    monkeypatch.setenv(f"{PREFIX}API_KEY", CANARY)

    with folder.serve("--workers", "1") as service:
        assert (200, f"Bonjour {CANARY}".encode()) == service.get("/asks")


def test_check_tells_names_only(folder: Folder) -> None:
    """The table names the variables of a guest, and no value."""
    code, text = shown(folder, "--variable", f"api_key={CANARY}")

    assert 0 == code
    assert re.search(r"^ +variables +key$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "variables.api_key: found no value, expected --variable api_key=VALUE, "),
        (("--variable", CANARY), "the value of number 1 has no =; write NAME=VALUE"),
        (("--variable", f"apikey={CANARY}"), 'did you mean "api_key"?'),
        (("--variables", "gone"), "gone:1: file: found No such file or directory, expected a readable file"),
        (("--variables", "wrong"), "wrong:2: file: found a line that is no assignment, expected NAME=VALUE"),
    ],
)
@pytest.mark.parametrize("command", ["check", "serve"])
def test_mistakes(folder: Folder, command: str, arguments: tuple[str, ...], expected: str) -> None:
    """Each is a sentence with exit code 2, and none shows what was given."""
    (folder.path / "wrong").write_text(f"api_key={CANARY}\n{CANARY} x\n")

    done = folder.run(command, "config.toml", *arguments)

    assert (2, "") == (done.returncode, done.stdout)
    assert expected in " ".join(done.stderr.split())
    assert CANARY not in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        'host = "{{ api_key }}"',
        'name = "{{ api_key }}"',
        'abi = "{{ api_key }}"',
        'function = "{{ api_key }}"',
        'allowed_outbound_hosts = ["tcp://{{ api_key }}"]',
        'arguments = ["{{ api_key }}"]',
        'mounts = { "/a" = { path = "{{ api_key }}" } }',
        'files = { "/a" = "s3://{{ api_key }}/a" }',
        'key_value = ["{{ api_key }}"]',
        'digest = "{{ api_key }}"',
        'limits = { memory = "{{ api_key }}" }',
        'nothing = "{{ api_key }}"',
        'env = "{{ api_key }}"',
        '[stores.a]\nurl = "s3://{{ api_key }}"',
        '[stores.a]\nurl = "s3://a"\nregion = "{{ api_key }}"',
        '[stores.a]\nurl = "s3://a"\npassword = "{{ api_key }}"',
        '[key_value.a]\nurl = "http://{{ api_key }}"',
        '[server]\ntls = { certificate = "{{ api_key }}", key = "{{ api_key }}" }',
        'not toml = "{{ api_key }}"',
    ],
)
def test_whatever_is_wrong_shows_no_secret(folder: Folder, line: str) -> None:
    """A secret in the wrong place, or with something wrong beside it, stays where it is."""
    folder.config(CONFIG.replace("env = ", "# ") + line + "\n")

    code, text = shown(folder, "--variable", f"api_key={CANARY}")

    assert (2, True) == (code, "config.toml:" in text)


def test_broken_stores_show_no_secret(folder: Folder) -> None:
    """Neither a server's URL that cannot be one, nor a store that is not there."""
    stores = 'key_value = ["a"]\nfiles = { "/a" = "s3://b/c" }\n'
    stores += '[key_value.a]\nurl = "redis://:{{ api_key }}@h/no"\n'
    stores += '[stores.b]\nurl = "s3://b"\nendpoint = "http://127.0.0.1:1"\n'
    stores += 'access_key_id = "{{ api_key }}"\nsecret_access_key = "{{ api_key }}"\n'
    folder.config(CONFIG + stores)

    code, text = shown(folder, "--variable", f"api_key={CANARY}")

    assert (2, True) == (code, "the number of a database" in text)
