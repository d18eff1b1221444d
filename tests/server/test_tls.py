"""Certificates: what is right becomes a context, and what is wrong a sentence for each mistake."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from server.certificates import Issuer, tls_config
from serverless_wasm.config.configuration import TlsConfig
from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.events import Event, Notice
from serverless_wasm.server.tls import MAX_PEM, open_context


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    """An authority of this test."""
    return Issuer(tmp_path)


def problems(tls: TlsConfig) -> tuple[Problem, ...]:
    """The mistakes in two files; nothing is said beside them."""
    events: list[Event] = []
    with pytest.raises(ConfigError) as caught:
        open_context(tls, events.append)
    assert not events
    return caught.value.problems


def notices(tls: TlsConfig) -> list[str]:
    """What is said of two files that work."""
    events: list[Event] = []
    open_context(tls, events.append)
    return [event.message for event in events if isinstance(event, Notice)]


def pem(key: rsa.RSAPrivateKey) -> bytes:
    """A key as openssl writes it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def only(tls: TlsConfig) -> str:
    """The only mistake, without the folder."""
    (problem,) = problems(tls)
    return str(problem).replace(f"{tls.key.parent}/", "")


def test_a_good_pair(issuer: Issuer) -> None:
    """TLS 1.2 and up, ciphers with forward secrecy and authentication only, and nothing to say."""
    tls = issuer.issue()
    context = open_context(tls, lambda _: None)

    assert [] == notices(tls)
    assert ssl.TLSVersion.TLSv1_2 == context.minimum_version
    ciphers = [cipher["name"] for cipher in context.get_ciphers()]
    assert ciphers
    assert all(name.startswith(("TLS_", "ECDHE-")) for name in ciphers)
    assert all("GCM" in name or "CHACHA20" in name for name in ciphers)


def test_one_file_may_hold_both(issuer: Issuer) -> None:
    """As haproxy has it."""
    tls = issuer.issue()
    both = issuer.folder / "both.pem"
    both.touch(0o600)
    both.write_bytes(tls.key.read_bytes() + tls.certificate.read_bytes())

    assert [] == notices(tls_config(issuer.folder, "both.pem", "both.pem"))


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """Both are named, each on its own line."""
    first, second = problems(tls_config(tmp_path))

    assert (
        f"config.toml:4: server.tls.certificate: found {tmp_path}/cert.pem, which cannot be read: "
        'No such file or directory, expected a PEM file with "-----BEGIN CERTIFICATE-----"'
    ) == str(first)
    assert (
        f"config.toml:5: server.tls.key: found {tmp_path}/key.pem, which cannot be read: "
        'No such file or directory, expected a PEM file with "-----BEGIN PRIVATE KEY-----"'
    ) == str(second)


def test_a_directory_and_a_pipe(issuer: Issuer) -> None:
    """Neither is opened: nobody may ever write to the pipe."""
    tls = issuer.issue()
    os.mkfifo(issuer.folder / "pipe")
    strange = tls_config(issuer.folder, ".", "pipe")
    assert [4, 5] == [problem.line for problem in problems(strange)]
    assert all("a directory or a device" in problem.found for problem in problems(strange))
    assert "a directory or a device" in only(tls_config(issuer.folder, tls.certificate.name, "pipe"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(issuer: Issuer) -> None:
    """The system's own word for it."""
    tls = issuer.issue()
    tls.key.chmod(0)
    assert "key.pem, which cannot be read: Permission denied" in only(tls)


def test_a_path_that_cannot_be(issuer: Issuer) -> None:
    """A zero byte is no path, and is not printed."""
    tls = issuer.issue()
    found = only(tls_config(issuer.folder, tls.certificate.name, "a\0b"))
    assert r"a\x00b, which cannot be read: an impossible path" in found


def test_a_file_without_an_end(issuer: Issuer) -> None:
    """A large file is not read whole."""
    tls = issuer.issue()
    with tls.certificate.open("ab") as stream:
        stream.truncate(MAX_PEM + 1)
    assert f"a file of more than {MAX_PEM} bytes" in only(tls)


def test_the_two_files_taken_for_each_other(issuer: Issuer) -> None:
    """What is in each is said."""
    tls = issuer.issue()
    first, second = problems(tls_config(issuer.folder, tls.key.name, tls.certificate.name))
    assert "private key" in first.found
    assert "which has a certificate" in second.found


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "which has no PEM"),
        (b"hello", "which has no PEM"),
        (b"\x30\x82\x01\x00", "which is binary, as DER and PKCS #12 are"),
        (b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", "which has a certificate request"),
    ],
)
def test_a_certificate_that_is_not_pem(issuer: Issuer, content: bytes, found: str) -> None:
    """What is there instead is said."""
    tls = issuer.issue()
    tls.certificate.write_bytes(content)
    expected = 'a PEM file with "-----BEGIN CERTIFICATE-----"'
    assert f"config.toml:4: server.tls.certificate: found cert.pem, {found}, expected {expected}" == only(tls)


def test_a_certificate_with_a_hole(issuer: Issuer) -> None:
    """The certificate, not the key, is what is wrong; so it is for one that only vouches."""
    tls = issuer.issue()
    whole = tls.certificate.read_text()
    for at in (100, whole.rindex("BEGIN") + 100):
        tls.certificate.write_text(f"{whole[:at]}AAAAAAAA{whole[at + 8 :]}")
        assert "server.tls.certificate: found cert.pem, a certificate that cannot be" in only(tls)


def test_a_key_with_a_hole(issuer: Issuer) -> None:
    """The key is what is wrong."""
    tls = issuer.issue()
    tls.key.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert "server.tls.key: found key.pem, which cannot be used: " in only(tls)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key(issuer: Issuer, form: PrivateFormat) -> None:
    """There is nobody to type a passphrase: how to take it off is said."""
    tls = issuer.issue()
    key = load_pem_private_key(tls.key.read_bytes(), None)
    tls.key.write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")))
    assert (
        "config.toml:5: server.tls.key: found key.pem, an encrypted key, expected a key without a "
        "passphrase; write: openssl pkey -in key.pem -out decrypted.pem"
    ) == only(tls)


def test_the_key_of_another_certificate(issuer: Issuer) -> None:
    """Of the same kind or of another kind."""
    tls, other = issuer.issue(), issuer.issue("other-")
    expected = "server.tls.key: found key.pem, the key of another certificate, expected that of cert.pem"
    tls.key.write_bytes(other.key.read_bytes())
    assert only(tls).endswith(expected)
    tls.key.write_bytes(pem(rsa.generate_private_key(65537, 2048)))
    assert only(tls).endswith(expected)


def test_a_weak_certificate(issuer: Issuer) -> None:
    """An RSA key that OpenSSL will not use is named as that."""
    tls = issuer.issue()
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    tls.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    tls.key.write_bytes(pem(key))
    assert (
        "server.tls.certificate: found cert.pem, which is too weak: ee key too small, expected one "
        in only(tls)
    )


def test_an_expired_certificate(issuer: Issuer) -> None:
    """It works, for who knows what clients the operator has; but it is said."""
    tls = issuer.issue(expires=datetime(2020, 1, 1, tzinfo=UTC))
    (notice,) = notices(tls)
    assert (
        f"config.toml:4: server.tls.certificate: clients will refuse {tls.certificate}: "
        "certificate has expired"
    ) == notice


def test_a_key_that_others_may_read(issuer: Issuer) -> None:
    """Whoever has it can be this server; a group may, as Debian's ssl-cert does."""
    tls = issuer.issue()
    tls.key.chmod(0o640)
    assert [] == notices(tls)
    tls.key.chmod(0o644)
    (notice,) = notices(tls)
    assert (
        f"config.toml:5: server.tls.key: every user of this machine may read {tls.key}; "
        f"write: chmod o-r {tls.key}"
    ) == notice


def test_rsa_keys(issuer: Issuer) -> None:
    """2048 bits are enough."""
    tls = issuer.issue()
    issued = issuer.authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    tls.certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    tls.key.write_bytes(issued.private_key_pem.bytes())
    assert [] == notices(tls)


@given(content=st.binary(max_size=300) | st.text("-BEGIN CRTFATPVKY\n=A", max_size=300).map(str.encode))
def test_any_bytes_are_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever is in the files, the operator reads what is wrong with them."""
    folder = tmp_path_factory.mktemp("pem", numbered=True)
    tls = tls_config(folder)
    tls.certificate.write_bytes(content)
    tls.key.write_bytes(content)
    assert {4, 5} == {problem.line for problem in problems(tls)}
