"""Builds the compiled path (src/serverless_wasm/wasm/fast.c) into the package, where there is a C compiler.

Without one the package is the same but for that file, and takes the pure path. CC names another compiler.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "src/serverless_wasm/wasm"
SOURCES = ("capi.h", "guest.h", "fast.c")
"""As in fast.py, which loads nothing that was built from others."""
FLAGS = ("-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra")
MACOS = ("-undefined", "dynamic_lookup")
"""The engine's functions are found once it is loaded, which is elsewhere the rule."""


class CompiledPath(BuildHookInterface[Any]):
    """The hook of pyproject.toml."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles, and says that the wheel is of this kind of machine."""
        del version
        folder = Path(self.root) / FOLDER
        file = folder / "libfast.so"
        problem = build(folder, file)
        if problem:
            self.app.display_warning(f"without the compiled path, which is slower: {problem}")
            return
        build_data["artifacts"].append(f"/{FOLDER}/libfast.so")
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def build(folder: Path, file: Path) -> str:
    """Compiles the sources in the folder; why it could not, or an empty string."""
    try:
        named = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        return f"CC cannot be read: {error}"
    compiler = named or [name for name in ("cc", "gcc", "clang") if shutil.which(name)][:1]
    if not compiler:
        return "there is no C compiler; install gcc or clang"
    digest = sha256(b"".join((folder / name).read_bytes() for name in SOURCES)).hexdigest()
    flags = [*FLAGS, *(MACOS if sys.platform == "darwin" else ()), f'-DSOURCES="{digest}"']
    new = file.with_suffix(".new")
    try:
        subprocess.run(  # noqa: S603 - the compiler of whoever builds
            [*compiler, *flags, "-o", new, folder / "fast.c"],
            check=True,
            capture_output=True,
        )
        new.replace(file)
    except (OSError, subprocess.CalledProcessError) as error:
        new.unlink(missing_ok=True)
        return f"{error}\n{getattr(error, 'stderr', b'').decode(errors='replace')}"
    return ""
