"""Stores elsewhere: which table is meant for a URL, and what becomes of a wrong one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serverless_wasm.stores import OPTIONS, Patience, Remote, Store, authorization, covering, open_objects

CANARY = "canary-of-a-secret"


def table(url: str, **options: str) -> Store:
    return Store(name="mine", url=url, options=options)


def test_longest_url_is_meant() -> None:
    """Of the tables whose URL is the beginning of another's, up to a slash."""
    bucket, folder = table("s3://bucket"), table("s3://bucket/folder/")
    stores = (bucket, folder, table("s3://buck"), table("gs://bucket"))

    assert bucket is covering("s3://bucket", stores)
    assert bucket is covering("s3://bucket/file", stores)
    assert bucket is covering("s3://bucket/folders", stores)
    assert folder is covering("s3://bucket/folder/file", stores)
    assert folder is covering("s3://bucket/folder", stores)
    assert None is covering("s3://bucket2/file", stores)


@given(st.text(), st.text())
def test_table_covers_its_url_and_below(root: str, rest: str) -> None:
    """And nothing that only looks like it."""
    store = table(root)

    assert store.covers(root.rstrip("/") + "/" + rest)
    assert not store.covers(root.rstrip("/") + "x" + rest.replace("/", ""))


def test_secrets_are_not_told() -> None:
    """Neither by a table nor by a place."""
    store = table("s3://bucket", secret_access_key=CANARY)
    remote = Remote(url="s3://bucket/x", store=store)

    assert CANARY not in f"{store} {store!r} {remote} {remote!r}"


@pytest.mark.parametrize(
    "remote",
    [
        Remote(url="ftp://example.com/"),
        Remote(url="nothing"),
        Remote(url=""),
        Remote(url="http://"),
        Remote(url="s3://bucket", store=table("s3://bucket", ca="/nowhere/ca.pem", secret_access_key=CANARY)),
        Remote(url="s3://bucket", store=table("s3://bucket", ca="/dev/null/x", secret_access_key=CANARY)),
        Remote(url="az://box", store=table("az://box", account="mine", account_key=CANARY)),
        Remote(url="gs://bucket", store=table("gs://bucket", service_account=f"/nowhere/{CANARY}"[:9])),
    ],
)
def test_what_cannot_be_a_client_is_one_line(remote: Remote) -> None:
    """With no secret in it."""
    with pytest.raises(ValueError, match=r"\S") as caught:
        open_objects(remote, Patience())

    assert 1 == len(str(caught.value).splitlines())
    assert CANARY not in str(caught.value)


def test_every_scheme_has_a_client() -> None:
    """Which is made without a word to anybody; artifacts (oci) have a client of their own."""
    stores = {"az": table("az://box", account="mine")}
    for scheme in set(OPTIONS) - {"oci"}:
        assert open_objects(Remote(url=f"{scheme}://box/x", store=stores.get(scheme)), Patience())


def test_authorization_is_token_or_password() -> None:
    """A token is RFC 6750, a name and a password RFC 7617; without either there is none."""
    basic = base64.b64encode("mül:p:w".encode()).decode()

    assert "Bearer t" == authorization(table("https://x", token="t", username="u"))  # noqa: S106 - no secret
    assert f"Basic {basic}" == authorization(table("https://x", username="mül", password="p:w"))  # noqa: S106 - no secret
    assert None is authorization(table("https://x"))
    assert None is authorization(None)
