"""`push FILE oci://...`: puts a module into a registry, where `file_path` and others find it.

A file and a reference come in; the digests under which the registry has it go out.
It must never push what is not a module, nor say that it did before the registry has said so.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from serverless_wasm.cli.progress import Bars
from serverless_wasm.cli.report import mistake, print_notice
from serverless_wasm.errors import SourceError
from serverless_wasm.sources import local
from serverless_wasm.stores import Remote
from serverless_wasm.text import printable


def push(
    file: Annotated[Path, typer.Argument(readable=False, metavar="FILE", help="A WebAssembly module.")],
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCE", help="Such as oci://ghcr.io/me/hello:1.0; without a tag, latest."
        ),
    ],
) -> None:
    """Put FILE into a registry of OCI artifacts.

    Who you are is read from where docker login writes it. Prints the digest of the manifest, for a reference
    that never changes, and that of the module, which is what the key digest of an application takes.
    """
    from serverless_wasm.sources import oci  # noqa: PLC0415 - takes a quarter of a second to load

    bars = Bars(print_notice)
    try:
        module = local.read(file)
        with bars:
            pushed = asyncio.run(
                oci.push(Remote(url=reference), module, lambda done: bars.watch(str(file), done, len(module)))
            )
    except SourceError as error:
        raise mistake(str(error)) from None
    typer.echo(f"{printable(reference)}\nmanifest {pushed.manifest}\nmodule   {pushed.module}")
