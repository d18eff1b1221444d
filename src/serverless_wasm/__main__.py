"""`python -m serverless_wasm` is the command line: see cli/main.py."""

from __future__ import annotations

from serverless_wasm.cli.main import main

main()
