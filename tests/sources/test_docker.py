"""Logins that other programs have written: found in their places, and harmless when they are damaged."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.sources.docker import _pair, find_login


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No login of whoever runs the tests."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def auth(user: str = "me", password: str = "p:w") -> dict[str, str]:  # noqa: S107 - of nobody
    """An entry as `docker login` writes it."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, auths: object) -> Path:
    """A file of logins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": auths}))
    return path


@pytest.mark.parametrize(
    ("variable", "file"),
    [
        ("DOCKER_CONFIG", "config.json"),
        ("XDG_RUNTIME_DIR", "containers/auth.json"),
        ("REGISTRY_AUTH_FILE", ""),
        ("HOME", ".docker/config.json"),
    ],
)
def test_each_place_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, file: str
) -> None:
    """Those of docker and of podman."""
    path = write(tmp_path / "logins" / file, {"r.example:5000": auth()})
    monkeypatch.setenv(variable, str(tmp_path / "logins"))

    login = find_login("r.example:5000")

    assert login
    assert (login.user, login.password, login.file) == ("me", "p:w", path)
    assert "p:w" not in repr(login)
    assert find_login("r.example") is None


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("ghcr.io/v2/", "ghcr.io"),
    ],
)
def test_keys_may_be_urls(tmp_path: Path, key: str, registry: str) -> None:
    """As old programs wrote them."""
    write(tmp_path / "home/.docker/config.json", {"other": auth("you"), key: auth()})
    login = find_login(registry)
    assert login
    assert login.user == "me"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"auths": []}', '{"auths": {"r": 1}}', "[" * 100_000, "\udcff"]
)
def test_a_damaged_file_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """The next one is looked at."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    write(tmp_path / "home/.docker/config.json", {"r": auth()})
    assert find_login("r")


@given(
    st.dictionaries(st.sampled_from(["auth", "username", "password"]), st.text() | st.none() | st.integers())
)
def test_an_entry_is_a_pair_or_nothing(entry: dict[str, str]) -> None:
    """Whatever is in it; a type that it never has is for the caller, who passes the file over."""
    try:
        pair = _pair(entry)
    except (TypeError, ValueError):
        return
    assert pair is None or all(isinstance(part, str) for part in pair)
