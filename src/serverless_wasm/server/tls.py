"""The certificate that a door shows: two PEM files become a context for TLS, or every mistake in them.

A TlsConfig comes in; an SSLContext that works goes out, proven by a handshake in memory.
It must never ask for a passphrase, nor change a context that is in use: a new certificate is a new context.
"""

from __future__ import annotations

import re
import ssl
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from serverless_wasm.config.configuration import TlsConfig
from serverless_wasm.errors import ConfigError, Problem
from serverless_wasm.events import Emit, Notice
from serverless_wasm.text import printable

MAX_PEM = 1024 * 1024
"""Bytes of a file; a certificate of a hundred names with all that vouch for it has less than 20 KiB."""
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2 only those with forward secrecy and authenticated encryption (RFC 9325 section 4.2)."""

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----")
_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: *4, *ENCRYPTED")  # RFC 7468, 1421
_OTHERS_KEY = frozenset({"key values mismatch", "key type mismatch", "no certificate assigned"})
"""What OpenSSL calls the key of another certificate; the last if it is of another kind."""
_WANT_CERTIFICATE = 'a PEM file with "-----BEGIN CERTIFICATE-----"'
_WANT_KEY = 'a PEM file with "-----BEGIN PRIVATE KEY-----"'


class _Mistake(Exception):
    """What one of the two keys leads to, and what it should."""

    def __init__(self, key: str, found: str, expected: str) -> None:
        super().__init__(found)
        self.key, self.found, self.expected = key, found, expected


def open_context(tls: TlsConfig, emit: Emit) -> ssl.SSLContext:
    """A context for the server's side of TLS 1.2 and later, with the certificate and key of two files.

    Blocks for some milliseconds. Emits a Notice for what works and should not stay so: a certificate that
    clients will refuse, such as an expired one, and a key that others may read.
    Raises ConfigError with every mistake, none of them seen by a door that has another context.
    """
    mistakes: list[_Mistake] = []
    chain: list[bytes] = []
    try:
        chain = _read_chain(tls.certificate)
    except _Mistake as mistake:
        mistakes.append(mistake)
    try:
        _check_key(tls.key)
    except _Mistake as mistake:
        mistakes.append(mistake)
    if not mistakes:
        try:
            context = _load(tls)
            verdict = _verdict(context, chain[0])
        except _Mistake as mistake:
            mistakes.append(mistake)
    if mistakes:
        raise ConfigError(
            tuple(sorted((_problem(tls, item) for item in mistakes), key=lambda item: item.line))
        )
    for message in _notices(tls, verdict):
        emit(Notice(message=message))
    return context


def _read(key: str, path: Path, expected: str) -> bytes:
    name = printable(str(path))
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise _Mistake(key, f"{name}, a directory or a device", expected)
        with path.open("rb") as stream:
            data = stream.read(MAX_PEM + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or "an impossible path"
        raise _Mistake(key, f"{name}, which cannot be read: {reason}", expected) from None
    if len(data) > MAX_PEM:
        raise _Mistake(key, f"{name}, a file of more than {MAX_PEM} bytes", expected)
    return data


def _read_chain(path: Path) -> list[bytes]:
    """The certificates of a file, the server's own first."""
    data = _read("certificate", path, _WANT_CERTIFICATE)
    chain = _CERTIFICATE.findall(data)
    if not chain:
        raise _Mistake("certificate", f"{printable(str(path))}, {_content(data)}", _WANT_CERTIFICATE)
    try:
        _trusting(b"\n".join(chain))
    except (ssl.SSLError, ValueError) as error:
        found = f"{printable(str(path))}, a certificate that cannot be read: {_reason(error)}"
        raise _Mistake("certificate", found, "the file as it was issued") from None
    return chain


def _check_key(path: Path) -> None:
    data = _read("key", path, _WANT_KEY)
    name = printable(str(path))
    if _ENCRYPTED.search(data):
        remedy = f"a key without a passphrase; write: openssl pkey -in {name} -out decrypted.pem"
        raise _Mistake("key", f"{name}, an encrypted key", remedy)
    if not _KEY.search(data):
        raise _Mistake("key", f"{name}, {_content(data)}", _WANT_KEY)


def _content(data: bytes) -> str:
    """What a file has in the place of what was looked for."""
    label = _LABEL.search(data)
    if label:
        return f"which has a {label[1].decode().lower()}"
    return "which is binary, as DER and PKCS #12 are" if data[:1] == b"\x30" else "which has no PEM"


def _load(tls: TlsConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996: older ones must not be used
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION  # TLS 1.2: it lets a client spend our processor time
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"")  # or OpenSSL asks a terminal
    except (ssl.SSLError, OSError, ValueError) as error:
        raise _loading_mistake(tls, error) from None
    return context


def _loading_mistake(tls: TlsConfig, error: Exception) -> _Mistake:
    reason, certificate = _reason(error), printable(str(tls.certificate))
    if reason in _OTHERS_KEY:
        return _Mistake(
            "key", f"{printable(str(tls.key))}, the key of another certificate", f"that of {certificate}"
        )
    if "too small" in reason or "too weak" in reason:
        stronger = "one with an ECDSA key, or an RSA key of 2048 bits, signed with SHA-256"
        return _Mistake("certificate", f"{certificate}, which is too weak: {reason}", stronger)
    return _Mistake(
        "key", f"{printable(str(tls.key))}, which cannot be used: {reason}", "the file as it was made"
    )


def _trusting(certificates: bytes) -> ssl.SSLContext:
    """A client's context that trusts these certificates, whoever issued them."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificates.decode("ascii"))
    return context


def _verdict(context: ssl.SSLContext, certificate: bytes) -> str:
    """Why a client that trusts the certificate will refuse it all the same; empty if it will not.

    Asks OpenSSL by way of a handshake: Python has no other way to read a certificate's dates.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = _trusting(certificate).wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError as error:
        found = f"a certificate that no client can use: {_reason(error)}"
        raise _Mistake("certificate", found, "one with an ECDSA or RSA key") from None
    return ""


def _notices(tls: TlsConfig, verdict: str) -> Iterator[str]:
    if verdict:
        yield (
            f"{tls.file}:{tls.certificate_line}: server.tls.certificate: clients will refuse "
            f"{printable(str(tls.certificate))}: {verdict}"
        )
    key = printable(str(tls.key))
    if tls.key.stat().st_mode & stat.S_IROTH:
        yield (
            f"{tls.file}:{tls.key_line}: server.tls.key: every user of this machine may read {key}; "
            f"write: chmod o-r {key}"
        )


def _problem(tls: TlsConfig, mistake: _Mistake) -> Problem:
    line = tls.key_line if mistake.key == "key" else tls.certificate_line
    return Problem(
        file=tls.file,
        line=line,
        key=f"server.tls.{mistake.key}",
        found=mistake.found,
        expected=mistake.expected,
    )


def _reason(error: Exception) -> str:
    """OpenSSL's word for it, such as `key values mismatch`."""
    word = getattr(error, "reason", None) or getattr(error, "strerror", None) or "not readable"
    return printable(str(word).lower().replace("_", " "))
