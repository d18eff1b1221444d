"""TLS at the HTTP/1.1 door with the clients that people have: openssl, curl, httpx, Python."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from server.certificates import refusals, serving_tls, speaking
from server.doors import GET, Run, hello

pytestmark = pytest.mark.usefixtures("quiet")


async def command(*words: str, send: bytes = b"") -> tuple[int, str]:
    """Runs a program to its end: exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    text, _ = await process.communicate(send)
    return process.returncode or 0, text.decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("options", "works"),
    [
        (["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], False),
        (["-tls1_2"], True),
        (["-tls1_3"], True),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], False),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], True),
    ],
)
def test_versions_and_ciphers(run: Run, tmp_path: Path, options: list[str], works: bool) -> None:  # noqa: FBT001 - pytest's parameter
    """TLS 1.1 and ciphers without authentication of each record are refused, with a word in the log."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            code, text = await command(
                "openssl", "s_client", "-connect", f"127.0.0.1:{served.port}", *options, send=b"Q\n"
            )
            assert works == (code == 0), text
            await served.until_connections(0)
            refused = refusals(served)
            assert works != bool(refused), refused
            if refused:
                ((status, code_, detail),) = refused
                assert (0, "tls_handshake") == (status, code_)
                assert "unsupported protocol" in detail or "no shared cipher" in detail

    run(main())


def test_no_renegotiation(run: Run, tmp_path: Path) -> None:
    """TLS 1.2 lets a client ask for handshake after handshake; the door does not."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            where = f"127.0.0.1:{served.port}"
            _, text = await command("openssl", "s_client", "-connect", where, "-tls1_2", send=b"R\n")
            assert "no renegotiation" in text
            await served.until_connections(0)

    run(main())


def test_a_key_update_changes_nothing(run: Run, tmp_path: Path) -> None:
    """RFC 8446 section 4.6.3: a client may ask for new keys at any time."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            where = f"127.0.0.1:{served.port}"
            process = await asyncio.create_subprocess_exec(
                *("stdbuf", "-o0", "openssl", "s_client", "-msg", "-connect", where, "-tls1_3"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            assert process.stdin
            assert process.stdout
            await process.stdout.readuntil(b"read R BLOCK")
            for _ in range(2):
                process.stdin.write(b"K\n")
                await process.stdout.readuntil(b"KEYUPDATE")
                process.stdin.write(GET)
                await process.stdout.readuntil(b"<<< TLS 1.3, Handshake [length 0005], KeyUpdate")
                await process.stdout.readuntil(b"GET /?")
            process.stdin.write(b"Q\n")
            await process.communicate()

    run(main())


def test_a_client_that_does_not_trust_us(run: Run, tmp_path: Path) -> None:
    """The operator reads why a client went away."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            with pytest.raises(ssl.SSLCertVerificationError):
                await served.connect_tls(ssl.create_default_context())
            await served.until_connections(0)
            assert all("unknown ca" in detail for _, _, detail in refusals(served))

    run(main())


def test_curl_and_httpx(run: Run, tmp_path: Path) -> None:
    """Clients that people have."""

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            authority = tmp_path / "ca.pem"
            authority.write_bytes(served.issuer.authority.cert_pem.bytes())
            url = f"https://127.0.0.1:{served.port}/curl?x=1"
            assert (0, "GET /curl?x=1") == await command("curl", "-sS", "--cacert", str(authority), url)
            async with httpx.AsyncClient(verify=served.context) as client:
                answers = await asyncio.gather(*(client.get(url) for _ in range(20)))
                assert {(200, "GET /curl?x=1")} == {(each.status_code, each.text) for each in answers}

    run(main())


def test_a_session_goes_on(run: Run, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A ticket saves a client that comes again the costly half of the handshake."""

    def ask(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", port))
        tls = context.wrap_socket(raw, server_hostname="127.0.0.1", session=session)
        tls.sendall(GET)
        assert tls.recv(1000).startswith(b"HTTP/1.1 200")
        return tls

    async def main() -> None:
        async with serving_tls(hello, tmp_path) as served:
            context = speaking(served, version)
            with await asyncio.to_thread(ask, served.port, context, None) as first:
                session = first.session
            with await asyncio.to_thread(ask, served.port, context, session) as second:
                assert second.session_reused

    run(main())
