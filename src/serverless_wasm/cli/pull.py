"""`pull URL`: a module from a registry, a web server or an object store, as a file.

A URL comes in; the module, checked, and its digest go out.
It must never leave half a file behind, nor take what is not a module.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from serverless_wasm.cli.progress import Bars
from serverless_wasm.cli.report import mistake, print_notice
from serverless_wasm.config.locations import module_path
from serverless_wasm.errors import SourceError
from serverless_wasm.sources.fetch import Fetched, Fetcher, Wanted
from serverless_wasm.sources.local import SIZE_LIMIT
from serverless_wasm.stores import Remote
from serverless_wasm.text import printable


def pull(
    url: Annotated[str, typer.Argument(metavar="REFERENCE", help="Such as oci://ghcr.io/me/hello:1.0.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to; else its last name, here, with .wasm."
        ),
    ] = None,
) -> None:
    """Get a module out of a registry of OCI artifacts.

    Who you are is read from where docker login writes it. Other URLs that file_path takes are right, too.
    Prints the module's digest, which is what the key digest of an application takes.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is half there must be removed
    target = output or Path(_name(url))
    try:
        fetched = _fetch(Remote(url=_checked(url)), target)
    except SourceError as error:
        raise mistake(str(error)) from None
    except OSError as error:
        raise mistake(f"{printable(str(target))} cannot be written: {error.strerror}") from None
    typer.echo(f"{printable(str(target))}\nmodule sha256:{fetched.digest}")


def _checked(url: str) -> str:
    try:
        if "://" in url:
            return module_path(url)
    except ValueError as error:
        raise SourceError(f"{printable(url)}: expected {error}") from None
    raise SourceError(f"{printable(url)} is no URL, such as oci://ghcr.io/me/hello:1.0")


def _name(url: str) -> str:
    """The last part of a path, without tag and digest."""
    last = urlsplit(url).path.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return f"{last.removesuffix('.wasm') or 'module'}.wasm"


def _fetch(remote: Remote, target: Path) -> Fetched:
    """Beside the target first, under another name."""
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=target.absolute().parent) as folder:
        with Bars(print_notice) as bars:
            fetcher = Fetcher(Path(folder), watch=bars.watch)
            wanted = Wanted(remote=remote, digest=None, limit=SIZE_LIMIT)
            (result,) = asyncio.run(fetcher.fetch([wanted]))
        if isinstance(result, SourceError):
            raise result
        mask = os.umask(0o077)
        os.umask(mask)
        result.path.chmod(0o666 & ~mask)  # what any program's file has
        result.path.replace(target)
    return result
