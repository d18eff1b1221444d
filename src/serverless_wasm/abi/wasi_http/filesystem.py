"""wasi:filesystem: the folders that an application was granted, and all that is done below them.

Nothing comes in but a world; its folders go out, as descriptors from which every other one is had.
It must never give a folder that the application was not granted.
"""

from __future__ import annotations

from serverless_wasm.abi.wasi_http import filesystem_descriptor, filesystem_paths
from serverless_wasm.abi.wasi_http.filesystem_descriptor import Descriptor
from serverless_wasm.abi.wasi_http.filesystem_open import Opened
from serverless_wasm.abi.wasi_http.filesystem_paths import DirectoryEntryStream, flags_of
from serverless_wasm.abi.wasi_http.filesystem_types import ERROR_CODE, FileFailure, code_of
from serverless_wasm.abi.wasi_http.interface import Interface, borrow, function, own
from serverless_wasm.abi.wasi_http.io_error import IoError
from serverless_wasm.abi.wasi_http.world import World
from serverless_wasm.wasm.components.types import STRING, ListOf, Option, TupleOf


def _get_directories(world: World) -> list[tuple[Descriptor, str]]:
    """They stay open until the invocation ends, whatever is dropped."""
    return [
        (Descriptor(Opened(folder), flags_of(folder)), name.decode())
        for name, folder in world.files.folders.items()
    ]


def _filesystem_error_code(world: World, error: IoError) -> str | None:
    return code_of(error.cause) if isinstance(error.cause, FileFailure) else None


FILESYSTEM_TYPES = Interface(
    "wasi:filesystem/types",
    (
        *filesystem_descriptor.METHODS,
        *filesystem_paths.METHODS,
        function(
            "filesystem-error-code",
            _filesystem_error_code,
            ("err", borrow(IoError)),
            gives=Option(ERROR_CODE),
        ),
    ),
    (Descriptor, DirectoryEntryStream),
)
PREOPENS = Interface(
    "wasi:filesystem/preopens",
    (function("get-directories", _get_directories, gives=ListOf(TupleOf((own(Descriptor), STRING)))),),
)
